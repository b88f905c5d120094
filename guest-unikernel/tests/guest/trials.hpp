// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// Each file has one of these; `main.cpp` names them.
void destroy_statics();
void divide_by_zero();
void read_null();
void use_thread_storage();
