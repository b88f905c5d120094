// SPDX-License-Identifier: BSD-2-Clause
//
// noop: the smallest VM there is. Ends with status 0 at once.

int main(int, char **)
{
	return 0;
}
