#pragma once

// Small made-up kernels for the loaders' tests: nothing in them runs.

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/bits.h"
#include "firmware/setup_header.h"
#include "memory/guest_memory.h"

namespace mynah::sample {

using Image = std::vector<std::byte>;

inline constexpr uint64_t kLoadAddress = 0x1000000;
inline constexpr uint64_t kBssSize = 0x3000;
inline constexpr uint32_t kPvhEntry = 0x1000040;

template <typename T>
void append(Image& image, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    image.insert(image.end(), bytes.begin(), bytes.end());
}

inline Image text(std::string_view string) {
    const auto bytes = std::as_bytes(std::span(string));
    return {bytes.begin(), bytes.end()};
}

// An ELF with one loadable segment of `code` at kLoadAddress, cleared memory behind it, and Xen's
// PVH note.
inline Image elf(const Image& code, bool with_note = true) {
    struct Note {
        Elf64_Nhdr header{4, 8, 18};
        std::array<char, 4> name{'X', 'e', 'n', 0};
        uint64_t entry = kPvhEntry;
    };
    constexpr uint64_t kHeaders = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_entry = kLoadAddress;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_offset = kHeaders + sizeof(Note);
    load.p_paddr = kLoadAddress;
    load.p_filesz = code.size();
    load.p_memsz = code.size() + kBssSize;
    Elf64_Phdr note{};
    note.p_type = with_note ? PT_NOTE : PT_NULL;
    note.p_offset = kHeaders;
    note.p_filesz = sizeof(Note);
    Image image;
    append(image, header);
    append(image, load);
    append(image, note);
    append(image, Note{});
    image.insert(image.end(), code.begin(), code.end());
    return image;
}

inline linux_boot::SetupHeader default_header() {
    linux_boot::SetupHeader header{};
    header.setup_sects = 1;
    header.boot_flag = 0xaa55;
    header.jump = 0x6aeb;  // the header ends at 0x202 + 0x6a
    header.header = linux_boot::kHdrS;
    header.version = 0x020f;
    header.loadflags = linux_boot::loadflags::kLoadedHigh | linux_boot::loadflags::kKaslr;
    header.initrd_addr_max = 0x7fffffff;
    header.kernel_alignment = 0x200000;
    header.relocatable_kernel = 1;
    header.xloadflags = linux_boot::xloadflags::kKernel64;
    header.cmdline_size = 2047;
    header.pref_address = kLoadAddress;
    header.init_size = 0x400000;
    return header;
}

// A bzImage whose protected-mode code is 64 bytes of 0x90 and then `payload` (with its length
// field).
inline Image bzimage(const Image& payload, linux_boot::SetupHeader header = default_header()) {
    constexpr size_t kStub = 64;
    Image code(align_up(kStub + payload.size(), 16));
    std::fill_n(code.begin(), kStub, std::byte{0x90});
    std::copy(payload.begin(), payload.end(), code.begin() + kStub);
    header.syssize = static_cast<uint32_t>(code.size() / 16);
    header.payload_offset = kStub;
    header.payload_length = static_cast<uint32_t>(payload.size());
    Image image((header.setup_sects + 1) * linux_boot::kSector);
    std::memcpy(image.data() + linux_boot::kSetupHeaderOffset, &header, sizeof header);
    image.insert(image.end(), code.begin(), code.end());
    return image;
}

inline std::unique_ptr<GuestMemory> memory(uint64_t megabytes = 64) {
    const std::array<GuestMemory::Range, 2> ram{
        {{GuestPhys(0), 0xa0000}, {GuestPhys(0xe0000), (megabytes << 20) - 0xe0000}}};
    return GuestMemory::create(ram).take_value();
}

}  // namespace mynah::sample
