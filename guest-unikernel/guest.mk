# SPDX-License-Identifier: BSD-2-Clause
#
# How an application becomes an image. The Makefile includes this file, and says where
# things are in the sources. Installed, it is a makefile of its own:
#
# make -f PREFIX/lib/mayfly/guest.mk APP=DIR   every .cpp, .cc, .cxx, .c and .S in DIR, as
#                                              build/guests/NAME in the current folder
# ... NET=1                                    with mayfly/net.hpp

ifndef library
kit := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
build := $(CURDIR)/build
library := $(kit)/libmayfly-guest.a
net_library := $(kit)/libmayfly-net.a
script := $(kit)/image.lds
check_image := $(kit)/check-image
include_flags := -I$(kit)/include -isystem $(kit)/../../include/mayfly
sources_root := $(CURDIR)
caller := $(CURDIR)
ifndef APP
$(error APP=DIR: which folder has the application?)
endif
endif

objects := $(build)/guest-unikernel
makefiles := $(MAKEFILE_LIST)

warnings := -Wall -Wextra
# -fstack-clash-protection: a large frame is touched page by page, so that none steps
# over the guard of the stack.
common := -Os -g -fno-builtin -fstack-clash-protection -fno-stack-protector -fno-pic -fcf-protection=none \
	-mcmodel=kernel -mno-red-zone -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -MMD -MP \
	-ffile-prefix-map=$(sources_root)/= $(include_flags) $(warnings)
cxx_flags := -std=c++23 -fno-exceptions -fno-rtti -fno-threadsafe-statics
c_flags := -std=gnu17
asm_flags := -D__ASSEMBLY__
cxx_suffixes := cpp cc cxx
suffixes := $(cxx_suffixes) c S

link_flags := -nostdlib -static -no-pie -Wl,--gc-sections,--build-id=none \
	-Wl,-z,max-page-size=4096,-z,noexecstack -Wl,-T,$(script)
# Ours come first: the compiler's parts are for what only they have.
libraries_of = -Wl,--start-group $(1) -lstdc++ -lgcc -Wl,--end-group

.PHONY: all always
.DELETE_ON_ERROR:

# Sources of one suffix: $(1) it, $(2) their folder, $(3) that of the objects, $(4) what
# compiles them.
define compiled
$(3)/%.$(1).o: $(2)/%.$(1) $(makefiles)
	@mkdir -p $$(@D)
	@$(4) -c $$< -o $$@
endef

# One application: $(1) its name, $(2) its folder, $(3) the image, $(4) the libraries. The
# objects of two folders with one name have nothing in common.
define application
sources_of_$(1) := $$(wildcard $(suffixes:%=$(2)/*.%))
folder_of_$(1) := $(objects)/$(if $(filter /%,$(2)),at)$(2)
objects_of_$(1) := $$(sources_of_$(1):$(2)/%=$$(folder_of_$(1))/%.o)

$$(foreach suffix,$(cxx_suffixes),$$(eval $$(call compiled,$$(suffix),$(2),$$(folder_of_$(1)),g++ $(common) $(cxx_flags) $(strict_cxx))))
$$(eval $$(call compiled,c,$(2),$$(folder_of_$(1)),gcc $(common) $(c_flags) $(strict)))
$$(eval $$(call compiled,S,$(2),$$(folder_of_$(1)),gcc $(common) $(asm_flags) $(strict)))

# Changes when a source has come or gone, when another folder has this name, or with NET.
$(objects)/apps/$(1).sources: always
	@mkdir -p $$(@D)
	@echo $$(sources_of_$(1)) $(4) | cmp -s - $$@ || echo $$(sources_of_$(1)) $(4) >$$@

# With symbols for the debugger; the image is the same without them.
$(objects)/apps/$(1).debug: $$(objects_of_$(1)) $(objects)/apps/$(1).sources $(4) $(script)
	@g++ $(link_flags) $(strict_link) $$(objects_of_$(1)) $(call libraries_of,$(4)) -o $$@

$(3): $(objects)/apps/$(1).debug $(check_image)
	@mkdir -p $$(@D)
	@strip --strip-all -R .comment $$< -o $$@
	@$(check_image) $$@ $$(limit)

-include $$(objects_of_$(1):.o=.d)
endef

ifdef APP
$(if $(word 2,x$(APP))$(word 2,x$(caller))$(word 2,x$(build)),\
	$(error APP=$(APP): make takes no blanks in the names of folders))
app_paths := $(abspath $(if $(filter /%,$(APP)),$(APP),$(caller)/$(APP) $(CURDIR)/$(APP)))
app_dirs := $(patsubst %/.,%,$(wildcard $(app_paths:=/.)))
app_dir := $(firstword $(app_dirs))
$(if $(app_dir),,$(error APP=$(APP): no such folder))
$(if $(word 2,$(sort $(realpath $(app_dirs)))),\
	$(error APP=$(APP): $(app_dirs) are two folders; give the whole path of one))
app := $(notdir $(app_dir))
all: $(build)/guests/$(app)
$(eval $(call application,$(app),$(app_dir),$(build)/guests/$(app),$(if $(NET),$(net_library)) $(library)))
$(if $(sources_of_$(app)),,$(error APP=$(APP): there is no $(suffixes:%=.%) in it))
endif
