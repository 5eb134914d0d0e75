/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small ELF reader, for exactly three questions: is this a library of this
 * machine, what does its ABI note say, and does its descriptor agree.
 *
 * Happy path: header -> program headers -> the note in a PT_NOTE segment -> the
 * symbol weir_plugin in .dynsym -> the first 8 bytes of the descriptor, through
 * the PT_LOAD segment that holds them. They are plain numbers, so they stand in
 * the file as they will in memory; the pointers behind them do not.
 *
 * Failure: every offset and length is taken for hostile. All reading goes through
 * elf_get(), which knows the file's size, and every loop has a bound; a file that
 * lies is refused, never followed. Nothing is allocated or mapped (a mapped file
 * that shrinks raises SIGBUS).
 *
 * Threads: any; no state.
 */
#include "loader_elf.h"
#include "loader.h"
#include "loader_check.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
#define ELF_CLASS ELFCLASS64
#else
#define ELF_CLASS ELFCLASS32
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ELF_DATA ELFDATA2LSB
#else
#define ELF_DATA ELFDATA2MSB
#endif
#if defined(__x86_64__)
#define ELF_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define ELF_MACHINE EM_AARCH64
#elif defined(__riscv)
#define ELF_MACHINE EM_RISCV
#elif defined(__s390x__)
#define ELF_MACHINE EM_S390
#elif defined(__powerpc64__)
#define ELF_MACHINE EM_PPC64
#else
#error "add this machine's e_machine"
#endif

/* A library has about 10 program and 40 section headers; 256 and 1024 leave
 * room for -ffunction-sections and debug sections and end a loop over junk. */
#define MAX_SEGMENTS 256
#define MAX_SECTIONS 1024
/* Linkers emit a few notes of up to 1 KiB; 64 KiB holds every sane segment. */
#define MAX_NOTE_BYTES 65536
/* Hidden visibility leaves one or two exported symbols and some imports; a
 * plugin that brings a whole library along may have thousands. */
#define MAX_SYMBOLS 65536
/* Two per symbol, and room for the rest: ends any loop over a hostile file. */
#define MAX_READS (2 * MAX_SYMBOLS + 4096)
#define SYMBOL "weir_plugin"

struct elf {
	const struct weir__elf_file *file;
	struct weir__elf_info *info;
	ElfW(Ehdr) head;
	struct weir__refused out;
};

/* The only place that reads: [off, off + len) must lie in the file. */
static int elf_get(struct elf *e, uint64_t off, void *buf, size_t len)
{
	const struct weir__elf_file *f = e->file;
	size_t done = 0;

	if (++e->info->reads > MAX_READS)
		return -E2BIG;
	if (off > f->size || len > f->size - off)
		return -EINVAL;
	if (f->fd < 0) {
		memcpy(buf, (const char *)f->mem + off, len);
		return 0;
	}
	while (done < len) {
		ssize_t n = pread(f->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EINVAL;
		done += (size_t)n;
	}
	return 0;
}

static int check_head(struct elf *e)
{
	ElfW(Ehdr) *h = &e->head;
	int r = elf_get(e, 0, h, sizeof(*h));

	if (r < 0)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "the file has %llu bytes, an ELF header needs %zu",
		              (unsigned long long)e->file->size, sizeof(*h));
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "it starts with %02x %02x %02x %02x, an ELF file with 7f 45 4c 46",
		              h->e_ident[0], h->e_ident[1], h->e_ident[2], h->e_ident[3]);
	if (h->e_ident[EI_CLASS] != ELF_CLASS || h->e_ident[EI_DATA] != ELF_DATA)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "class %u and byte order %u, this daemon has %u and %u",
		              h->e_ident[EI_CLASS], h->e_ident[EI_DATA], ELF_CLASS, ELF_DATA);
	if (h->e_machine != ELF_MACHINE)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "built for machine %u, this is machine %u", h->e_machine, ELF_MACHINE);
	if (h->e_type != ET_DYN)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "ELF type %u, a shared library has type %u", h->e_type, ET_DYN);
	if (h->e_phentsize != sizeof(ElfW(Phdr)) || h->e_phnum == 0 || h->e_phnum > MAX_SEGMENTS)
		return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
		              "%u program headers of %u bytes, expected 1 to %u of %zu",
		              h->e_phnum, h->e_phentsize, MAX_SEGMENTS, sizeof(ElfW(Phdr)));
	return 0;
}

static int get_segment(struct elf *e, unsigned int i, ElfW(Phdr) *ret)
{
	uint64_t off = (uint64_t)e->head.e_phoff + (uint64_t)i * sizeof(*ret);

	if (off < e->head.e_phoff) /* wrapped */
		return -EINVAL;
	return elf_get(e, off, ret, sizeof(*ret));
}

/* Walk the notes of one segment. Returns 1 if ours was found, else 0. */
static int scan_notes(struct elf *e, const ElfW(Phdr) *ph)
{
	uint64_t align = ph->p_align == 8 ? 8 : 4, at = 0;

	if (ph->p_filesz > MAX_NOTE_BYTES)
		return 0;
	while (ph->p_filesz - at >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) n;
		uint64_t name, desc, next;
		struct weir_note note;

		if (elf_get(e, ph->p_offset + at, &n, sizeof(n)) < 0)
			return 0;
		name = at + sizeof(n);
		desc = (name + n.n_namesz + align - 1) & ~(align - 1);
		next = (desc + n.n_descsz + align - 1) & ~(align - 1);
		if (desc + n.n_descsz > ph->p_filesz)
			return 0;
		if (n.n_type == WEIR_NOTE_TYPE && n.n_namesz == 5 && n.n_descsz >= 8 && align == 4) {
			if (elf_get(e, ph->p_offset + at, &note, sizeof(note)) < 0)
				return 0;
			if (memcmp(note.vendor, "Weir", 5) == 0) {
				e->info->abi_major = note.abi_major;
				e->info->abi_minor = note.abi_minor;
				e->info->desc_size = note.desc_size;
				return 1;
			}
		}
		if (next > ph->p_filesz)
			return 0;
		at = next;
	}
	return 0;
}

static int find_note(struct elf *e)
{
	for (unsigned int i = 0; i < e->head.e_phnum; i++) {
		ElfW(Phdr) ph;

		if (get_segment(e, i, &ph) < 0)
			return weir__refuse(&e->out, WEIR__REFUSED_NOT_ELF, -ENOEXEC,
			              "program header %u lies outside the file of %llu bytes", i,
			              (unsigned long long)e->file->size);
		if (ph.p_type == PT_NOTE && scan_notes(e, &ph))
			return 0;
	}
	return weir__refuse(&e->out, WEIR__REFUSED_NO_NOTE, -ENOEXEC,
	              "no note \"Weir\" of type %d: not a plugin, or one whose "
	              "section .note.weir was removed", WEIR_NOTE_TYPE);
}

static int check_abi(struct elf *e)
{
	const struct weir__elf_info *i = e->info;

	if (i->abi_major != WEIR_ABI_MAJOR)
		return weir__refuse(&e->out, WEIR__REFUSED_ABI_MAJOR, -EPROTONOSUPPORT,
		              "plugin has %u, weir has %u: build it with the SDK of this weir",
		              i->abi_major, WEIR_ABI_MAJOR);
	if (i->abi_minor > WEIR_ABI_MINOR)
		return weir__refuse(&e->out, WEIR__REFUSED_ABI_MINOR, -EPROTONOSUPPORT,
		              "plugin has %u.%u, weir has %u.%u: it may call what this weir lacks; "
		              "update weir, or build it with an older SDK",
		              i->abi_major, i->abi_minor, WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
	return 0;
}

static int get_section(struct elf *e, unsigned int i, ElfW(Shdr) *ret)
{
	uint64_t off = (uint64_t)e->head.e_shoff + (uint64_t)i * sizeof(*ret);

	if (e->head.e_shoff == 0 || off < e->head.e_shoff)
		return -EINVAL;
	return elf_get(e, off, ret, sizeof(*ret));
}

/* The symbol's row in a .dynsym whose names are in `str`. 1 found, 0 not. */
static int scan_symbols(struct elf *e, const ElfW(Shdr) *sym, const ElfW(Shdr) *str,
                        ElfW(Sym) *ret)
{
	uint64_t count = sym->sh_size / sizeof(ElfW(Sym));
	char name[sizeof(SYMBOL)];

	if (count > MAX_SYMBOLS)
		count = MAX_SYMBOLS;
	for (uint64_t i = 0; i < count; i++) {
		if (sym->sh_offset > UINT64_MAX - sym->sh_size ||
		    elf_get(e, sym->sh_offset + i * sizeof(*ret), ret, sizeof(*ret)) < 0)
			return 0;
		if (ret->st_shndx == SHN_UNDEF || ret->st_name >= str->sh_size ||
		    str->sh_offset > UINT64_MAX - ret->st_name)
			continue;
		if (elf_get(e, str->sh_offset + ret->st_name, name, sizeof(name)) == 0 &&
		    memcmp(name, SYMBOL, sizeof(name)) == 0)
			return 1;
	}
	return 0;
}

static int find_symbol(struct elf *e, ElfW(Sym) *ret)
{
	unsigned int count = e->head.e_shnum;

	if (e->head.e_shentsize != sizeof(ElfW(Shdr)) || count > MAX_SECTIONS)
		count = 0;
	for (unsigned int i = 0; i < count; i++) {
		ElfW(Shdr) sym, str;

		if (get_section(e, i, &sym) < 0)
			break;
		if (sym.sh_type != SHT_DYNSYM || sym.sh_link >= count ||
		    get_section(e, sym.sh_link, &str) < 0)
			continue;
		if (!scan_symbols(e, &sym, &str, ret))
			break;
		if (ELF64_ST_TYPE(ret->st_info) != STT_OBJECT)
			return weir__refuse(&e->out, WEIR__REFUSED_NO_SYMBOL, -ENOEXEC,
			              SYMBOL " has symbol type %u, data has %u",
			              (unsigned int)ELF64_ST_TYPE(ret->st_info), STT_OBJECT);
		return 0;
	}
	return weir__refuse(&e->out, WEIR__REFUSED_NO_SYMBOL, -ENOEXEC,
	              "no exported data symbol " SYMBOL " in .dynsym: use WEIR_PLUGIN()");
}

/* Bytes at a virtual address, from the segment that will hold them. */
static int get_at_address(struct elf *e, uint64_t addr, void *buf, size_t len)
{
	for (unsigned int i = 0; i < e->head.e_phnum; i++) {
		ElfW(Phdr) ph;

		if (get_segment(e, i, &ph) < 0)
			return -EINVAL;
		if (ph.p_type != PT_LOAD || addr < ph.p_vaddr || addr - ph.p_vaddr > ph.p_filesz ||
		    len > ph.p_filesz - (addr - ph.p_vaddr))
			continue;
		if (ph.p_offset > UINT64_MAX - ph.p_filesz)
			return -EINVAL;
		return elf_get(e, ph.p_offset + (addr - ph.p_vaddr), buf, len);
	}
	return -EINVAL;
}

/* Does the descriptor's own head agree with the note? */
static int check_descriptor(struct elf *e, const ElfW(Sym) *sym)
{
	struct {
		uint32_t desc_size;
		uint16_t abi_major, abi_minor;
	} raw;
	const struct weir__elf_info *i = e->info;

	e->info->symbol_size = sym->st_size;
	if (get_at_address(e, sym->st_value, &raw, sizeof(raw)) < 0)
		return weir__refuse(&e->out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		              SYMBOL " at %#llx is in no segment of the file",
		              (unsigned long long)sym->st_value);
	if (raw.desc_size != i->desc_size)
		return weir__refuse(&e->out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		              "descriptor says %u bytes, the note %u", raw.desc_size, i->desc_size);
	if (raw.abi_major != i->abi_major || raw.abi_minor != i->abi_minor)
		return weir__refuse(&e->out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		              "descriptor says ABI %u.%u, the note %u.%u", raw.abi_major,
		              raw.abi_minor, i->abi_major, i->abi_minor);
	if (raw.desc_size < WEIR__DESC_SIZE_1_0)
		return weir__refuse(&e->out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		              "descriptor says %u bytes, ABI 1.0 has %u", raw.desc_size,
		              WEIR__DESC_SIZE_1_0);
	if (sym->st_size < raw.desc_size)
		return weir__refuse(&e->out, WEIR__REFUSED_DESC_SIZE, -EINVAL,
		              "descriptor says %u bytes, its symbol has %llu", raw.desc_size,
		              (unsigned long long)sym->st_size);
	return 0;
}

int weir__elf_check(const struct weir__elf_file *f, struct weir__elf_info *ret,
                    int *refusal, char *reason, size_t size)
{
	struct elf e = { .file = f, .info = ret, .out = { refusal, reason, size } };
	ElfW(Sym) sym;
	int r;

	memset(ret, 0, sizeof(*ret));
	*refusal = WEIR__REFUSED_NONE;
	if ((r = check_head(&e)) < 0 || (r = find_note(&e)) < 0 || (r = check_abi(&e)) < 0 ||
	    (r = find_symbol(&e, &sym)) < 0)
		return r;
	return check_descriptor(&e, &sym);
}
