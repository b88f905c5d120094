// SPDX-License-Identifier: GPL-2.0-only
/*
 * catalog.c - images with a name.
 *
 * A name is unique among its owner's images, and an image has at most one. The name
 * keeps the image when no VM and no descriptor does, so its bytes count as its
 * owner's, like those of a VM.
 */
#include <linux/cred.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "mem/image.h"
#include "mem/pages.h"
#include "vm/catalog.h"
#include "vm/names.h"
#include "vm/owner.h"

/**
 * struct image_name - an entry
 * @key: owner and name
 * @node: in the table
 * @image: the image; the entry has a reference
 * @owner: charged for the image's bytes; the entry has a reference
 */
struct image_name {
	struct names_key key;
	struct rhash_head node;
	struct image *image;
	struct owner *owner;
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

/* Charges the caller for an image. The owner, or an ERR_PTR. */
static struct owner *charge_caller(const struct image *image)
{
	struct owner *owner = owner_get_current();
	int ret;

	if (!owner)
		return ERR_PTR(-ENOMEM);
	ret = owner_charge(owner, image_bytes(image));
	if (!ret)
		return owner;
	owner_put(owner);
	return ERR_PTR(ret);
}

/* Frees an entry that is in no table any more, or never was. */
static void free_entry(struct image_name *entry)
{
	if (entry->owner) {
		owner_charge(entry->owner, -(s64)image_bytes(entry->image));
		owner_put(entry->owner);
	}
	image_put(entry->image);
	kfree(entry);
}

/* An entry that is in no table yet. An image with a name has been charged for. */
static struct image_name *make_entry(struct image *image, const struct names_key *key)
{
	struct image_name *entry = kzalloc(sizeof(*entry), MEMORY_SLEEP);
	struct owner *owner = NULL;

	if (!entry)
		return ERR_PTR(-ENOMEM);
	if (!image->name)
		owner = charge_caller(image);
	if (IS_ERR(owner)) {
		kfree(entry);
		return ERR_CAST(owner);
	}
	entry->key = *key;
	entry->owner = owner;
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

/* What an image was called; its charge goes on to what it is called now. */
static void leave_old_name(struct image_name *old, struct image_name *entry)
{
	entry->owner = old->owner;
	old->owner = NULL;
	rhashtable_remove_fast(&catalog, &old->node, catalog_params);
	free_entry(old);
}

static int change_name(struct image *image, struct image_name *holder,
		       const struct names_key *key)
{
	struct image_name *entry = make_entry(image, key);

	if (IS_ERR(entry))
		return PTR_ERR(entry);
	if (enter(entry, holder)) {
		free_entry(entry);
		return -ENOMEM;
	}
	if (image->name)
		leave_old_name(image->name, entry);
	image->name = entry;
	if (holder) {
		holder->image->name = NULL;
		free_entry(holder);
	}
	return 0;
}

/**
 * catalog_tag - give an image a name, instead of the one it may have
 * @image: the caller's own
 * @name: valid
 * @replace: take it from the image that has it
 *
 * Context: may sleep.
 * Return: 0, -EEXIST, -EDQUOT, -ENOMEM.
 */
int catalog_tag(struct image *image, const char *name, bool replace)
{
	struct names_key key = key_of(image->uid, name);
	struct image_name *holder;
	int ret = -EEXIST;

	mutex_lock(&catalog_lock);
	holder = find_entry(&key);
	if (holder && holder->image == image)
		ret = 0;
	else if (!holder || replace)
		ret = change_name(image, holder, &key);
	mutex_unlock(&catalog_lock);
	return ret;
}

static void remove_entry(struct image_name *entry)
{
	lockdep_assert_held(&catalog_lock);
	rhashtable_remove_fast(&catalog, &entry->node, catalog_params);
	entry->image->name = NULL;
	free_entry(entry);
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
	int ret = -ENOENT;

	mutex_lock(&catalog_lock);
	if (image->name) {
		remove_entry(image->name);
		ret = 0;
	}
	mutex_unlock(&catalog_lock);
	return ret;
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
