#include "engine/translator/state_differences.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace mynah::translator {
namespace {

struct Value {
    std::string name;
    std::string text;
};

std::string hex_of(std::span<const std::byte> bytes) {  // most significant first
    std::string out;
    for (size_t i = bytes.size(); i-- > 0;) out += fmt::format("{:02x}", unsigned(bytes[i]));
    return out;
}

void add_general(const CpuState& s, std::vector<Value>& out) {
    constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const auto add = [&out](std::string name, uint64_t value) {
        out.push_back({std::move(name), fmt::format("{:016x}", value)});
    };
    for (unsigned i = 0; i < 16; ++i) add(kNames[i], s.gpr[i]);
    add("rip", s.rip);
    add("rflags", s.flags.value());
    add("cr0", s.cr0);
    add("cr2", s.cr2);
    add("cr3", s.cr3);
    add("cr4", s.cr4);
    add("efer", s.efer);
    add("xcr0", s.xcr0);
    add("dr6", s.dr6);
    add("dr7", s.dr7);
    add("tsc_aux", s.tsc_aux);
    add("kernel_gs_base", s.kernel_gs_base);
    add("interrupt_shadow", s.interrupt_shadow);
    add("nmi_blocked", s.nmi_blocked);
}

void add_segments(const CpuState& s, std::vector<Value>& out) {
    constexpr const char* kNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    const auto add = [&out](const char* name, const SegmentRegister& segment) {
        out.push_back({name, fmt::format("{:04x} base {:x} limit {:x} attributes {:x}",
                                         segment.selector, segment.base, segment.limit,
                                         segment.attributes)});
    };
    for (unsigned i = 0; i < std::size(kNames); ++i) add(kNames[i], s.segments[i]);
    add("ldtr", s.ldtr);
    add("tr", s.tr);
}

void add_vectors(const CpuState& s, std::vector<Value>& out) {
    out.push_back({"mxcsr", fmt::format("{:08x}", s.mxcsr)});
    for (unsigned i = 0; i < s.vector.size(); ++i) {
        out.push_back({fmt::format("ymm{}", i), hex_of(s.vector[i].bytes)});
    }
    const X87State& x87 = s.x87;
    out.push_back({"x87", fmt::format("control {:04x} status {:04x} tags {:02x} opcode {:03x} ip "
                                      "{:x} dp {:x}",
                                      x87.fcw, x87.fsw, x87.tags, x87.fop, x87.fip, x87.fdp)});
    for (unsigned i = 0; i < x87.physical.size(); ++i) {
        out.push_back({fmt::format("x87 r{}", i),
                       fmt::format("{:04x}:{:016x}", x87.physical[i].sign_exponent,
                                   x87.physical[i].significand)});
    }
}

std::vector<Value> values(const CpuState& s) {
    std::vector<Value> out;
    add_general(s, out);
    add_segments(s, out);
    add_vectors(s, out);
    return out;
}

// Cheap, as it is asked after every block. True is certain; padding may make it false.
bool same(const CpuState& a, const CpuState& b) {
    const auto equal = [&](size_t from, size_t to) {
        return std::memcmp(reinterpret_cast<const std::byte*>(&a) + from,
                           reinterpret_cast<const std::byte*>(&b) + from, to - from) == 0;
    };
    // All but the engines' own slots.
    return equal(offsetof(CpuState, gpr), offsetof(CpuState, gpr) + 16 * sizeof(uint64_t)) &&
           equal(offsetof(CpuState, rip), sizeof(CpuState));
}

}  // namespace

std::string state_lines(const CpuState& state) {
    std::string out;
    for (const Value& value : values(state)) {
        out += fmt::format("  {:<18} {}\n", value.name, value.text);
    }
    return out;
}

std::string state_differences(const CpuState& translated, const CpuState& interpreted) {
    if (same(translated, interpreted)) return "";
    std::string out;
    const auto a = values(translated), b = values(interpreted);
    for (size_t i = 0; i < a.size(); ++i) {
        if (a[i].text == b[i].text) continue;
        out += fmt::format("  {:<18} translated {}, interpreted {}\n", a[i].name, a[i].text,
                           b[i].text);
    }
    return out;
}

}  // namespace mynah::translator
