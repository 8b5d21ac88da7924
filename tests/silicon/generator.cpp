#include "silicon/generator.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "cpu/cpu_state.h"
#include "silicon/aim.h"
#include "silicon/encode.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

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
    if (random.one_in(3)) mxcsr |= static_cast<uint32_t>(random.next() & 0xe07f);  // rounding, DAZ, FTZ, flags
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

void random_registers(Random& random, Case& out) {
    const bool code64 = out.mode == CodeSize::k64;
    Registers& before = out.before;
    before = Registers{};
    for (uint64_t& reg : before.gpr) {
        reg = random.integer();
        if (!code64) reg &= 0xffffffff;
    }
    if (!code64) std::fill(before.gpr.begin() + 8, before.gpr.end(), 0);
    before.rip = out.address();
    before.rflags = random_flags(random);
    before.gs_base = kGsBase;
    // What Linux gives its processes.
    constexpr uint16_t kCode64 = 0x33, kCode32 = 0x23, kData = 0x2b;
    before.selectors = {kData, code64 ? kCode64 : kCode32, kData, kData, 0, 0};
    random_x87(random, before.xsave);
    random_vectors(random, before.xsave);
}

}  // namespace

bool generate(const Form& form, uint64_t seed, uint64_t number, Case& out) {
    Random random(seed * 0x9e3779b97f4a7c15 + number * 0xd1342543de82ef95);
    random.next();
    out.number = number;
    out.memory.clear();
    // Somewhere in the first page, sometimes across into the second.
    out.code_offset = static_cast<unsigned>(random.one_in(10) ? 0x1000 - random.below(16) : 0x800);
    if (!encode(form, random, out)) return false;
    random_registers(random, out);
    return aim(random, out);
}

std::span<const std::byte, kMemoryBytes> common_memory() {
    static const auto contents = [] {
        std::array<std::byte, kMemoryBytes> bytes;
        Random random(1);
        for (size_t at = 0; at < bytes.size(); at += 64) {
            random.fill(std::span(bytes).subspan(at, 64));
        }
        return bytes;
    }();
    return contents;
}

}  // namespace mynah::silicon
