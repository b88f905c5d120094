/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * catalog.h - images with a name.
 */
#ifndef MAYFLY_CATALOG_H
#define MAYFLY_CATALOG_H

#include <linux/types.h>

struct image;

int __must_check catalog_tag(struct image *image, const char *name, bool replace);
int catalog_remove(struct image *image);
struct image *catalog_find(const char *name);
bool catalog_name(const struct image *image, char *name);

int catalog_setup(void);
void catalog_teardown(void);

#endif
