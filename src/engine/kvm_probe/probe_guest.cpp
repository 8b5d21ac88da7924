#include "engine/kvm_probe/probe_guest.h"

#include <cstring>

#include "spec/x86/paging.h"

namespace mynah {

std::vector<std::byte> ProbeGuest::image() {
    std::vector<std::byte> image(kData);
    constexpr uint64_t kPage = 0x1000;
    constexpr uint64_t kPresentWritable = x86::page_entry::kPresent | x86::page_entry::kWritable;
    const std::array<uint64_t, 3> entries{(kTables + kPage) | kPresentWritable,
                                          (kTables + 2 * kPage) | kPresentWritable,
                                          kPresentWritable | x86::page_entry::kLarge};
    for (size_t level = 0; level < entries.size(); ++level)
        std::memcpy(&image[kTables + level * kPage], &entries[level], sizeof(uint64_t));
    constexpr std::array<uint8_t, 13> kLoop{
        0x48, 0x03, 0x03,        // add rax, [rbx]
        0x48, 0x89, 0x43, 0x08,  // mov [rbx + 8], rax
        0x48, 0xff, 0xc9,        // dec rcx
        0x75, 0xf4,              // jnz to the add
        0xf4,                    // hlt
    };
    std::memcpy(&image[kCode], kLoop.data(), kLoop.size());
    return image;
}

}  // namespace mynah
