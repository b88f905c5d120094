// SPDX-License-Identifier: GPL-2.0-only
/*
 * catalog.c - images with a name.
 *
 * A name is unique among its owner's images, and an image has at most one. The name
 * keeps the image when no VM and no descriptor does.
 */
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "vm/catalog.h"
#include "vm/names.h"

/**
 * struct image_name - an entry
 * @key: owner and name
 * @node: in the table
 * @image: the image; the entry has a reference
 * @gone: in a list of entries to free
 */
struct image_name {
	struct names_key key;
	struct rhash_head node;
	struct image *image;
	struct list_head gone;
};

static const struct rhashtable_params catalog_params = {
	.key_len = sizeof(struct names_key),
	.key_offset = offsetof(struct image_name, key),
	.head_offset = offsetof(struct image_name, node),
	.automatic_shrinking = true,
};

/* Guards the table and every image's @name. */
static DEFINE_MUTEX(catalog_lock);
static struct rhashtable catalog;

static struct names_key key_of(uid_t uid, const char *name)
{
	struct names_key key = { .uid = uid };

	strscpy(key.name, name, sizeof(key.name));
	return key;
}

static struct image_name *find_entry(const struct names_key *key)
{
	lockdep_assert_held(&catalog_lock);
	return rhashtable_lookup_fast(&catalog, key, catalog_params);
}

/* Frees an entry that is in no table any more, or never was. */
static void free_entry(struct image_name *entry)
{
	image_put(entry->image);
	kfree(entry);
}

/* An entry that is in no table yet. */
static struct image_name *make_entry(struct image *image, const struct names_key *key)
{
	struct image_name *entry = kzalloc(sizeof(*entry), MEMORY_SLEEP);

	if (!entry)
		return NULL;
	entry->key = *key;
	entry->image = image_get(image);
	return entry;
}

/* Enters @entry, in place of @holder if that is not NULL. Needs no memory then. */
static int enter(struct image_name *entry, struct image_name *holder)
{
	if (holder)
		return rhashtable_replace_fast(&catalog, &holder->node, &entry->node,
					       catalog_params);
	return rhashtable_insert_fast(&catalog, &entry->node, catalog_params);
}

/* Takes an entry's image away from it; the caller frees it after the lock. */
static void retire(struct image_name *entry, struct list_head *gone)
{
	lockdep_assert_held(&catalog_lock);
	entry->image->name = NULL;
	list_add(&entry->gone, gone);
}

static int change_name(struct image_name *entry, bool replace, struct list_head *gone)
{
	struct image_name *holder = find_entry(&entry->key);
	struct image *image = entry->image;

	if (holder && !replace)
		return -EEXIST;
	if (enter(entry, holder))
		return -ENOMEM;
	if (image->name) {
		rhashtable_remove_fast(&catalog, &image->name->node, catalog_params);
		retire(image->name, gone);
	}
	if (holder)
		retire(holder, gone);
	image->name = entry;
	return 0;
}

static bool is_called(const struct image *image, const struct names_key *key)
{
	lockdep_assert_held(&catalog_lock);
	return image->name && !memcmp(&image->name->key, key, sizeof(*key));
}

static void free_all(struct list_head *gone)
{
	struct image_name *entry, *next;

	list_for_each_entry_safe(entry, next, gone, gone)
		free_entry(entry);
}

/**
 * catalog_tag - give an image a name, instead of the one it may have
 * @image: the caller's own
 * @name: valid
 * @replace: take it from the image that has it
 *
 * Context: may sleep.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int catalog_tag(struct image *image, const char *name, bool replace)
{
	struct names_key key = key_of(image->owner->uid, name);
	struct image_name *entry = make_entry(image, &key);
	LIST_HEAD(gone);
	int ret = 0;
	bool same;

	if (!entry)
		return -ENOMEM;
	/* Nothing is allocated or freed under the lock, which is everybody's. */
	mutex_lock(&catalog_lock);
	same = is_called(image, &key);
	if (!same)
		ret = change_name(entry, replace, &gone);
	mutex_unlock(&catalog_lock);
	if (same || ret)
		free_entry(entry);
	free_all(&gone);
	return ret;
}

/**
 * catalog_remove - take an image's name away
 * @image: the caller has a reference
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT when it has none.
 */
int catalog_remove(struct image *image)
{
	struct image_name *entry;

	mutex_lock(&catalog_lock);
	entry = image->name;
	if (entry) {
		rhashtable_remove_fast(&catalog, &entry->node, catalog_params);
		image->name = NULL;
	}
	mutex_unlock(&catalog_lock);
	if (!entry)
		return -ENOENT;
	free_entry(entry);
	return 0;
}

/**
 * catalog_find - look up a name among the caller's images
 * @name: NUL-terminated, from user space
 *
 * Context: may sleep.
 * Return: the image with a reference, or NULL.
 */
struct image *catalog_find(const char *name)
{
	struct names_key key = key_of(from_kuid(&init_user_ns, current_euid()), name);
	struct image_name *entry;
	struct image *image = NULL;

	mutex_lock(&catalog_lock);
	entry = find_entry(&key);
	if (entry)
		image = image_get(entry->image);
	mutex_unlock(&catalog_lock);
	return image;
}

/**
 * catalog_name - what an image is called
 * @image: the caller has a reference
 * @name: out: MAYFLY_NAME_SIZE bytes, all zero before
 *
 * Context: may sleep.
 * Return: false if it has no name.
 */
bool catalog_name(const struct image *image, char *name)
{
	const struct image_name *entry;

	mutex_lock(&catalog_lock);
	entry = image->name;
	if (entry)
		memcpy(name, entry->key.name, sizeof(entry->key.name));
	mutex_unlock(&catalog_lock);
	return entry;
}

/**
 * catalog_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int catalog_setup(void)
{
	return rhashtable_init(&catalog, &catalog_params);
}

static void free_one(void *entry, void *unused)
{
	free_entry(entry);
}

/**
 * catalog_teardown - at unload; there are no VMs, and no descriptors
 */
void catalog_teardown(void)
{
	rhashtable_free_and_destroy(&catalog, free_one, NULL);
}
