# SPDX-License-Identifier: Apache-2.0
#
# Where `make install` puts things, for every Makefile that installs some.
# DESTDIR is for packagers: a folder that stands for the root of the target machine.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib

bin := $(DESTDIR)$(PREFIX)/bin
headers := $(DESTDIR)$(PREFIX)/include
lib := $(DESTDIR)$(LIBDIR)
mayfly := $(DESTDIR)$(PREFIX)/lib/mayfly
udev := $(DESTDIR)$(PREFIX)/lib/udev/rules.d
share := $(DESTDIR)$(PREFIX)/share
# It looks below /usr/lib for what packages bring, and below /etc, not /usr/local, for all else.
network_manager := $(DESTDIR)$(if $(filter /usr/local,$(PREFIX)),/etc,$(PREFIX)/lib)/NetworkManager/conf.d

install_program := install -D -m 755
install_data := install -D -m 644
