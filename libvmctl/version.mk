# SPDX-License-Identifier: Apache-2.0
#
# The only place with Mayfly's version: `vmctl version`, the manual page,
# libvmctl.pc and the shared library take it from here.

version := 0.1.0

# A new major version may break programs that were linked with the one before.
soname := libvmctl.so.$(firstword $(subst ., ,$(version)))
