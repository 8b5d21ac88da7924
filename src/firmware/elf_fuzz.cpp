// An ELF file of any content: headers, notes, loading.

#include <array>
#include <cstddef>
#include <cstdint>

#include "firmware/elf_image.h"

using namespace mynah;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto memory = [] {
        const std::array<GuestMemory::Range, 1> ram{{{GuestPhys(0), 20u << 20}}};
        return GuestMemory::create(ram).take_value();
    }();
    const auto image = ElfImage::parse(std::as_bytes(std::span(data, size)), "--kernel fuzz");
    if (!image) return 0;
    (void)image.value().load(*memory);
    for (uint32_t type = 0; type < 20; ++type) (void)image.value().xen_note(type);
    return 0;
}
