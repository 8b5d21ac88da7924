#include "firmware/elf_image.h"

#include <elf.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "firmware/low_memory.h"

namespace mynah {
namespace {

constexpr std::string_view kXenNoteName{"Xen\0", 4};

bool within(uint64_t offset, uint64_t size, uint64_t total) {
    return offset <= total && size <= total - offset;
}

}  // namespace

bool ElfImage::looks_like_elf(std::span<const std::byte> file) {
    return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfImage> ElfImage::parse(std::span<const std::byte> file, std::string origin) {
    if (!looks_like_elf(file) || file.size() < EI_NIDENT) {
        return Error(origin + ": not an ELF file");
    }
    const auto ident = [&](unsigned index) { return std::to_integer<uint8_t>(file[index]); };
    if (ident(EI_DATA) != ELFDATA2LSB) {
        return Error(origin + ": a big-endian ELF file; expected a kernel for x86");
    }
    ElfImage image(file, std::move(origin));
    image.is_64bit_ = ident(EI_CLASS) == ELFCLASS64;
    if (image.is_64bit_) {
        TRY((image.read_headers<Elf64_Ehdr, Elf64_Phdr>()));
    } else {
        TRY((image.read_headers<Elf32_Ehdr, Elf32_Phdr>()));
    }
    return image;
}

template <typename Header, typename ProgramHeader>
Result<void> ElfImage::read_headers() {
    if (file_.size() < sizeof(Header)) {
        return Error(fmt::format("{}: truncated: the ELF header needs {} bytes, the file has {}",
                                 origin_, sizeof(Header), file_.size()));
    }
    const auto header = load_unaligned<Header>(file_.data());
    if (header.e_machine != EM_X86_64 && header.e_machine != EM_386) {
        return Error(fmt::format("{}: an ELF file for another machine (type {}); expected x86",
                                 origin_, header.e_machine));
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return Error(
            fmt::format("{}: not an executable ELF file (type {})", origin_, header.e_type));
    }
    if (header.e_phnum == 0 || header.e_phnum > kMaxSegments ||
        header.e_phentsize != sizeof(ProgramHeader)) {
        return Error(fmt::format("{}: {} program headers of {} bytes; expected 1 to {} of {} bytes",
                                 origin_, header.e_phnum, header.e_phentsize, kMaxSegments,
                                 sizeof(ProgramHeader)));
    }
    if (!within(header.e_phoff, header.e_phnum * sizeof(ProgramHeader), file_.size())) {
        return Error(origin_ + ": truncated: the program headers lie beyond the end of the file");
    }
    entry_ = header.e_entry;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto program = load_unaligned<ProgramHeader>(file_.data() + header.e_phoff +
                                                           i * sizeof(ProgramHeader));
        if (program.p_type != PT_LOAD && program.p_type != PT_NOTE) continue;
        if (!within(program.p_offset, program.p_filesz, file_.size())) {
            return Error(fmt::format(
                "{}: truncated: segment {} needs {} bytes at {:#x}, the file has {}", origin_, i,
                uint64_t{program.p_filesz}, uint64_t{program.p_offset}, file_.size()));
        }
        segments_.push_back({program.p_type, program.p_offset, program.p_filesz, program.p_paddr,
                             std::max<uint64_t>(program.p_memsz, program.p_filesz)});
    }
    return {};
}

Result<GuestPhys> ElfImage::load(GuestMemory& memory) const {
    // First all checks, so that a bad image changes nothing; the sum bounds the work of an image
    // whose segments overlap.
    uint64_t total = 0, end = 0;
    for (const Segment& segment : segments_) {
        if (segment.type != PT_LOAD || segment.memory_size == 0) continue;
        if (segment.physical < low_memory::kMegabyte ||
            memory.host(GuestPhys(segment.physical), segment.memory_size) == nullptr ||
            segment.memory_size > memory.size() - total) {
            return Error(fmt::format(
                "{}: a segment of {} KiB at {:#x} does not fit into guest memory of "
                "{} MiB; see --memory",
                origin_, segment.memory_size >> 10, segment.physical, memory.size() >> 20));
        }
        total += segment.memory_size;
        end = std::max(end, segment.physical + segment.memory_size);
    }
    if (total == 0) return Error(origin_ + ": the ELF file has no segment to load");

    for (const Segment& segment : segments_) {
        if (segment.type != PT_LOAD || segment.memory_size == 0) continue;
        const auto content = file_.subspan(segment.file_offset, segment.file_size);
        const uint64_t rest = segment.memory_size - segment.file_size;
        if (!memory.write(GuestPhys(segment.physical), content) ||
            !memory.fill(GuestPhys(segment.physical + segment.file_size), std::byte{0}, rest)) {
            return Error(origin_ + ": a segment does not fit into guest memory");
        }
    }
    return GuestPhys(end);
}

std::optional<uint64_t> ElfImage::xen_note(uint32_t type) const {
    for (const Segment& segment : segments_) {
        if (segment.type != PT_NOTE) continue;
        auto rest = file_.subspan(segment.file_offset, segment.file_size);
        while (rest.size() >= sizeof(Elf64_Nhdr)) {
            const auto note = load_unaligned<Elf64_Nhdr>(rest.data());
            const uint64_t name_size = align_up(uint64_t{note.n_namesz}, 4);
            const uint64_t value_size = align_up(uint64_t{note.n_descsz}, 4);
            rest = rest.subspan(sizeof note);
            if (!within(name_size, note.n_descsz, rest.size())) break;
            const std::byte* value = rest.data() + name_size;
            if (note.n_type == type && note.n_namesz == kXenNoteName.size() &&
                std::memcmp(rest.data(), kXenNoteName.data(), kXenNoteName.size()) == 0) {
                if (note.n_descsz == 8) return load_unaligned<uint64_t>(value);
                if (note.n_descsz == 4) return load_unaligned<uint32_t>(value);
            }
            rest = rest.subspan(std::min<uint64_t>(name_size + value_size, rest.size()));
        }
    }
    return std::nullopt;
}

}  // namespace mynah
