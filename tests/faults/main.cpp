// SPDX-License-Identifier: Apache-2.0

#include "injection.hpp"

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	testing::AddGlobalTestEnvironment(new faults::Injection);
	return RUN_ALL_TESTS();
}
