// SPDX-License-Identifier: GPL-2.0-only
/*
 * names.c - what VMs and images may be called.
 *
 * A VM that was given no name is called vm<ID>. Such names are unique by
 * construction and cannot be given. table.c knows which names are taken.
 */
#include <linux/ctype.h>
#include <linux/string.h>

#include "vm/names.h"

#define AUTOMATIC_PREFIX	"vm"
#define PREFIX_LENGTH		(sizeof(AUTOMATIC_PREFIX) - 1)
#define DIGITS_MAX		20	/* of 64 bits */

/* The digits after the prefix, or NULL when @name has another form. */
static const char *automatic_digits(const char *name)
{
	const char *digits = name + PREFIX_LENGTH, *c;

	if (strncmp(name, AUTOMATIC_PREFIX, PREFIX_LENGTH) || !isdigit(*digits))
		return NULL;
	for (c = digits; isdigit(*c); c++)
		;
	return *c ? NULL : digits;
}

/**
 * names_automatic - is this a name of the form vm<ID>?
 * @name: NUL-terminated
 *
 * Return: the id, or 0.
 */
u64 names_automatic(const char *name)
{
	const char *c = automatic_digits(name);
	u64 id = 0;

	for (; c && *c; c++)
		if (__builtin_mul_overflow(id, 10, &id) ||
		    __builtin_add_overflow(id, *c - '0', &id))
			return 0;
	return id;
}

/**
 * names_valid - may a VM or an image be given this name?
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
	return !automatic_digits(name);
}

/* snprintf() would take a fortieth of the time it takes to make a VM. */
static void write_automatic(char *name, u64 id)
{
	char digits[DIGITS_MAX], *first = digits + sizeof(digits);

	do {
		*--first = '0' + id % 10;
		id /= 10;
	} while (id);
	memcpy(name, AUTOMATIC_PREFIX, PREFIX_LENGTH);
	memcpy(name + PREFIX_LENGTH, first, digits + sizeof(digits) - first);
}

/**
 * names_write - write down what a VM is called
 * @to: all zero
 * @size: of @to, more than the prefix and 20 digits
 * @id: the VM's
 * @name: valid, or NULL for the automatic one
 */
void names_write(char *to, size_t size, u64 id, const char *name)
{
	if (name)
		strscpy(to, name, size);
	else
		write_automatic(to, id);
}
