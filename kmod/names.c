// SPDX-License-Identifier: GPL-2.0-only
/*
 * names.c - the table of names.
 *
 * A VM without a name of its own is called vm<ID>. Such names are unique by
 * construction, may not be given, and are not in the table.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/rhashtable.h>
#include <linux/string.h>

#include "names.h"
#include "vm.h"

#define AUTOMATIC_PREFIX	"vm"

static const struct rhashtable_params params = {
	.key_len = sizeof(struct vm_key),
	.key_offset = offsetof(struct vm, key),
	.head_offset = offsetof(struct vm, by_key),
	.automatic_shrinking = true,
};

static struct rhashtable names;

/**
 * names_automatic - is this a name of the form vm<ID>?
 * @name: NUL-terminated
 *
 * Return: the id, or 0.
 */
u64 names_automatic(const char *name)
{
	size_t prefix = strlen(AUTOMATIC_PREFIX);
	u64 id;

	if (strncmp(name, AUTOMATIC_PREFIX, prefix) || !isdigit(name[prefix]) ||
	    kstrtou64(name + prefix, 10, &id))
		return 0;
	return id;
}

/**
 * names_valid - may a VM be called that?
 * @name: NUL-terminated
 *
 * Return: true for a letter followed by letters, digits, '.', '_' and '-',
 * unless it is of the form vm<digits>.
 */
bool names_valid(const char *name)
{
	const char *c;

	if (!isascii(name[0]) || !isalpha(name[0]))
		return false;
	for (c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			return false;
	if (strncmp(name, AUTOMATIC_PREFIX, strlen(AUTOMATIC_PREFIX)))
		return true;
	for (c = name + strlen(AUTOMATIC_PREFIX); isdigit(*c); c++)
		;
	return *c || c == name + strlen(AUTOMATIC_PREFIX);
}

/* snprintf() would be a fortieth of what a VM costs to make. */
static void write_automatic(char *name, u64 id)
{
	char digits[20], *first = digits + sizeof(digits);

	do {
		*--first = '0' + id % 10;
		id /= 10;
	} while (id);
	memcpy(name, AUTOMATIC_PREFIX, strlen(AUTOMATIC_PREFIX));
	memcpy(name + strlen(AUTOMATIC_PREFIX), first, digits + sizeof(digits) - first);
}

/**
 * names_give - fill in a VM's name
 * @key: to fill; all zero but for the owner
 * @id: the VM's
 * @name: valid, or NULL for the automatic one
 */
void names_give(struct vm_key *key, u64 id, const char *name)
{
	if (name)
		strscpy(key->name, name, sizeof(key->name));
	else
		write_automatic(key->name, id);
}

/**
 * names_add - take the name
 * @vm: with its key
 *
 * Return: 0, -EEXIST, -ENOMEM.
 */
int names_add(struct vm *vm)
{
	return rhashtable_lookup_insert_fast(&names, &vm->by_key, params);
}

/**
 * names_remove - the name is free again
 * @vm: after names_add()
 */
void names_remove(struct vm *vm)
{
	rhashtable_remove_fast(&names, &vm->by_key, params);
}

/**
 * names_find - look a name up
 * @uid: owner
 * @name: NUL-terminated
 *
 * Return: the VM with a reference, or NULL.
 */
struct vm *names_find(uid_t uid, const char *name)
{
	struct vm_key key = { .uid = uid };
	struct vm *vm;

	strscpy(key.name, name, sizeof(key.name));
	rcu_read_lock();
	vm = rhashtable_lookup(&names, &key, params);
	vm = vm_acquire(vm);
	rcu_read_unlock();
	return vm;
}

/**
 * names_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int names_setup(void)
{
	return rhashtable_init(&names, &params);
}

/**
 * names_teardown - at unload; it is empty
 */
void names_teardown(void)
{
	rhashtable_destroy(&names);
}
