// SPDX-License-Identifier: BSD-2-Clause
//
// Included in front of every C++ file of an application: a freestanding compiler
// does not know that main() has C linkage.

#pragma once

/// The application. @p argv[0] is the VM's name, the rest are its arguments;
/// they may not be written to. What it returns is the VM's status.
extern "C" int main(int argc, char **argv);
