// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// Each file has one of these; `main.cpp` names them.
void be_ready();
void destroy_statics();
void divide_by_zero();
void overflow_below_image();
void overflow_in_frame();
void overflow_into_tables();
void read_null();
void use_libraries();
void use_stack();
void use_thread_storage();
