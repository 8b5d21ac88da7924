#include "silicon/generator.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "cpu/cpu_state.h"
#include "silicon/aim.h"
#include "silicon/encode.h"
#include "silicon/start_state.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

namespace rflags = x86::rflags;

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
