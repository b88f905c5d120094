// SPDX-License-Identifier: BSD-2-Clause

// In C, and in another file than what uses it.
__thread unsigned char of_c[24] = "abcdefghijklmnopqrstuvwx";
