#include "silicon/start_state.h"

#include <cstring>

#include "base/bits.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {

namespace rflags = x86::rflags;

uint64_t random_flags(Random& random) {
    uint64_t flags = rflags::kOne | rflags::kIf;
    switch (random.below(3)) {
        case 0: break;
        case 1: flags |= rflags::kArithmetic; break;
        default: flags |= random.next() & rflags::kArithmetic; break;
    }
    if (random.one_in(4)) flags |= rflags::kDf;
    if (random.one_in(6)) flags |= rflags::kAc;
    return flags;
}

void random_x87(Random& random, std::span<std::byte, kXsaveBytes> area) {
    uint16_t control = 0x37f;
    if (random.one_in(3)) control = static_cast<uint16_t>((random.next() & 0xf00) | 0x7f);
    if (random.one_in(6)) control = static_cast<uint16_t>((random.next() & 0xf3f) | 0x40);
    uint16_t status = static_cast<uint16_t>(random.next() & 0x7f00);
    if (random.one_in(4)) status |= static_cast<uint16_t>(random.next() & 0x7f);
    if (!random.one_in(6)) status &= static_cast<uint16_t>(~(~control & 0x3f));  // nothing pending
    if ((status & ~control & 0x3f) != 0) status |= 0x8080;
    auto tags = static_cast<uint8_t>(random.next());
    if (!random.one_in(3)) tags = 0xff;
    if (random.one_in(8)) tags = 0;
    store_unaligned(area.data(), control);
    store_unaligned(area.data() + 2, status);
    store_unaligned(area.data() + 4, tags);
    store_unaligned(area.data() + 6, static_cast<uint16_t>(random.next() & 0x7ff));
    store_unaligned(area.data() + 8, random.next() & 0xffffffff);
    store_unaligned(area.data() + 16, random.next() & 0xffffffff);
    for (unsigned i = 0; i < 8; ++i) {
        random.extended(std::span<std::byte, 10>(area.data() + 32 + 16 * i, 10));
    }
}

void random_vectors(Random& random, std::span<std::byte, kXsaveBytes> area) {
    uint32_t mxcsr = 0x1f80;
    if (random.one_in(3))
        mxcsr |= static_cast<uint32_t>(random.next() & 0xe07f);  // rounding, DAZ, FTZ, flags
    if (random.one_in(8)) mxcsr &= ~static_cast<uint32_t>(random.next() & 0x1f80);
    store_unaligned(area.data() + kMxcsrOffset, mxcsr);
    for (unsigned i = 0; i < 16; ++i) {
        std::array<std::byte, 32> value;
        random.fill(value);
        std::memcpy(area.data() + kXmmOffset + 16 * i, value.data(), 16);
        std::memcpy(area.data() + kAvxOffset + 16 * i, value.data() + 16, 16);
    }
    store_unaligned(area.data() + kHeaderOffset, uint64_t{7});
}

std::vector<std::byte> random_state_image(Random& random, const Registers& like) {
    std::vector<std::byte> image(kXsaveBytes);
    for (size_t i = 0; i + 64 <= image.size(); i += 64)
        random.fill(std::span(image).subspan(i, 64));
    std::memcpy(image.data(), like.xsave.data(), 32);
    store_unaligned(image.data(), static_cast<uint16_t>(random.next()));
    store_unaligned(image.data() + 2, static_cast<uint16_t>(random.next()));
    store_unaligned(image.data() + 4, static_cast<uint16_t>(random.next()));
    store_unaligned(image.data() + kMxcsrOffset,
                    static_cast<uint32_t>(random.next() & 0xffff));
    if (random.one_in(10)) store_unaligned(image.data() + kMxcsrOffset, random.next());
    for (unsigned i = 0; i < 8; ++i) {
        random.extended(std::span<std::byte, 10>(image.data() + 32 + 16 * i, 10));
    }
    std::memset(image.data() + kHeaderOffset, 0, 64);
    uint64_t components = random.next() & 7;
    if (random.one_in(3)) {  // compacted
        store_unaligned(image.data() + kHeaderOffset + 8,
                        bit(63) | components | (random.next() & 7));
    }
    if (random.one_in(20))
        store_unaligned(image.data() + kHeaderOffset + 8 * random.below(8), bit(62));
    store_unaligned(image.data() + kHeaderOffset, components);
    return image;
}

}  // namespace mynah::silicon
