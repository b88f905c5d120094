/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tlbmodel.h - a software model of the tagged TLB, in DEBUG builds only.
 *
 * The emulators flush all translations at every world switch and so hide every
 * forgotten flush. The model remembers what a real CPU might still hold, and reports
 * when hardware could have used a stale translation. Only the lowest functions tell
 * it about changes (stage2_set, the page allocator, INVEPT and INVVPID, the entry
 * path); it knows nothing about stage2.changes or how tags are handed out.
 *
 * SVM: everything cached for a guest is under its ASID (APM 2 15.16). VT-x: linear
 * mappings are under the VPID; guest-physical mappings, of paging structures too, are
 * under the EPT root alone (SDM 3C 29.4.1), and outlive any change of VPID.
 */
#ifndef MAYFLY_TLBMODEL_H
#define MAYFLY_TLBMODEL_H

#include <linux/types.h>

struct stage2;

/* For tlbmodel_invept(): of all trees. */
#define TLBMODEL_ALL	0

#ifdef MAYFLY_DEBUG
bool tlbmodel_is_on(void);
int tlbmodel_setup(void);
void tlbmodel_teardown(void);
void tlbmodel_changed(struct stage2 *s2, u64 old, u64 new);
void tlbmodel_dropped(struct stage2 *s2);
void tlbmodel_page_kept(u64 pa);
void tlbmodel_page_freed(const struct stage2 *s2, u64 pa, bool dead);
void tlbmodel_enter(const struct stage2 *s2, u64 vm, u32 tag, bool flush_all);
void tlbmodel_enter_ept(const struct stage2 *s2, u64 vm, u32 vpid);
void tlbmodel_invvpid(void);
void tlbmodel_invept(u64 root);
void tlbmodel_leave(const struct stage2 *s2);
#else
static inline bool tlbmodel_is_on(void) { return false; }
static inline int tlbmodel_setup(void) { return 0; }
static inline void tlbmodel_teardown(void) {}
static inline void tlbmodel_changed(struct stage2 *s2, u64 old, u64 new) {}
static inline void tlbmodel_dropped(struct stage2 *s2) {}
static inline void tlbmodel_page_kept(u64 pa) {}
static inline void tlbmodel_page_freed(const struct stage2 *s2, u64 pa, bool dead) {}
static inline void tlbmodel_enter(const struct stage2 *s2, u64 vm, u32 tag,
				  bool flush_all) {}
static inline void tlbmodel_enter_ept(const struct stage2 *s2, u64 vm, u32 vpid) {}
static inline void tlbmodel_invvpid(void) {}
static inline void tlbmodel_invept(u64 root) {}
static inline void tlbmodel_leave(const struct stage2 *s2) {}
#endif

#endif
