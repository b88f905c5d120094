# SPDX-License-Identifier: BSD-2-Clause
#
# How an application becomes an image. The Makefile includes this file, and says where
# things are in the sources. Installed, it is a makefile of its own:
#
# make -f PREFIX/lib/mayfly/guest.mk APP=DIR   every .cpp, .c and .S in DIR, as
#                                              build/guests/NAME in the current folder

ifndef library
kit := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
build := $(CURDIR)/build
library := $(kit)/libmayfly-guest.a
script := $(kit)/image.lds
check_image := $(kit)/check-image
include_flags := -I$(kit)/include -isystem $(kit)/../../include/mayfly
sources_root := $(CURDIR)
ifndef APP
$(error APP=DIR: which folder has the application?)
endif
endif

objects := $(build)/guest-unikernel
makefiles := $(MAKEFILE_LIST)

warnings := -Wall -Wextra -Wconversion -Wshadow -Werror
common := -Os -g -ffreestanding -fno-stack-protector -fno-pic -fcf-protection=none \
	-mcmodel=kernel -mno-red-zone -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -MMD -MP \
	-ffile-prefix-map=$(sources_root)/= $(include_flags) $(warnings)
cxx_flags := -std=c++23 -fno-exceptions -fno-rtti -fno-threadsafe-statics \
	-Wold-style-cast -Wsuggest-override
c_flags := -std=gnu17
asm_flags := -D__ASSEMBLY__

link_flags := -nostdlib -static -no-pie -Wl,--gc-sections,--build-id=none \
	-Wl,-z,max-page-size=4096,-z,noexecstack,--fatal-warnings -Wl,-T,$(script)

.PHONY: all
.DELETE_ON_ERROR:

# One application: $(1) its name, $(2) its folder, $(3) the image.
define application
sources_of_$(1) := $$(wildcard $(2)/*.cpp $(2)/*.c $(2)/*.S)
objects_of_$(1) := $$(sources_of_$(1):$(2)/%=$(objects)/apps/$(1)/%.o)

$(objects)/apps/$(1)/%.cpp.o: $(2)/%.cpp $(makefiles)
	@mkdir -p $$(@D)
	@g++ $(common) $(cxx_flags) -c $$< -o $$@

$(objects)/apps/$(1)/%.c.o: $(2)/%.c $(makefiles)
	@mkdir -p $$(@D)
	@gcc $(common) $(c_flags) -c $$< -o $$@

$(objects)/apps/$(1)/%.S.o: $(2)/%.S $(makefiles)
	@mkdir -p $$(@D)
	@gcc $(common) $(asm_flags) -c $$< -o $$@

# With symbols for the debugger; the image is the same without them.
$(objects)/apps/$(1).debug: $$(objects_of_$(1)) $(library) $(script)
	@g++ $(link_flags) $$(objects_of_$(1)) $(library) -o $$@

$(3): $(objects)/apps/$(1).debug $(check_image)
	@mkdir -p $$(@D)
	@strip --strip-all -R .comment $$< -o $$@
	@$(check_image) $$@ $$(limit)

-include $$(objects_of_$(1):.o=.d)
endef

ifdef APP
# A relative DIR is one of the caller's folder, which `make -C` has left.
app_dir := $(firstword $(realpath $(addsuffix /$(APP),$(if $(filter /%,$(APP)),,$(PWD) $(CURDIR)))) \
	$(realpath $(filter /%,$(APP))))
$(if $(app_dir),,$(error APP=$(APP): no such folder))
app := $(notdir $(app_dir))
all: $(build)/guests/$(app)
$(eval $(call application,$(app),$(app_dir),$(build)/guests/$(app)))
endif
