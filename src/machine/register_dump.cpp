#include "machine/register_dump.h"

#include <fmt/core.h>

#include <array>
#include <span>

#include "isa/instruction.h"

namespace mynah {
namespace {

std::string segment_line(const char* name, const SegmentRegister& segment) {
    return fmt::format("{:<4} {:04x} base {:016x} limit {:08x} attributes {:05x}\n", name,
                       segment.selector, segment.base, segment.limit, segment.attributes);
}

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) text += fmt::format("{:02x} ", static_cast<unsigned>(byte));
    return text;
}

}  // namespace

FetchedInstruction fetch_instruction(const CpuState& state, const GuestMemory& memory, Mmu& mmu,
                                     uint64_t linear, CodeSize size) {
    std::array<std::byte, kMaxInstructionLength> bytes;
    size_t got = 0;
    for (; got < bytes.size(); ++got) {
        const uint64_t at = linear + got;
        const auto page = mmu.translate(state, at, AccessKind::kExecute, AccessMode::kSupervisor);
        const auto* const found = std::get_if<Translation>(&page);
        if (found == nullptr ||
            !memory.read(found->page + (at & (kPageSize - 1)), std::span(&bytes[got], 1)))
            break;
    }
    FetchedInstruction fetched;
    const auto code = std::span(bytes).first(got);
    fetched.decoded = decode(code, size, fetched.instruction) == DecodeStatus::kOk;
    if (!fetched.decoded) {
        fetched.line = fmt::format("  {:016x}  {}no instruction\n", linear, hex(code));
        return fetched;
    }
    fetched.line = fmt::format("  {:016x}  {:<46}{}\n", linear,
                               hex(code.first(fetched.instruction.length())),
                               disassemble(fetched.instruction, linear));
    return fetched;
}

std::string format_instructions(unsigned vcpu, const CpuState& state, const GuestMemory& memory,
                                Mmu& mmu) {
    constexpr unsigned kMost = 6;
    const CodeSize size = state.code64()             ? CodeSize::k64
                          : state.cs().default_big() ? CodeSize::k32
                                                     : CodeSize::k16;
    std::string out = fmt::format("vcpu {} would run\n", vcpu);
    uint64_t linear = state.code64() ? state.rip : (state.cs().base + state.rip) & 0xffffffff;
    for (unsigned i = 0; i < kMost; ++i) {
        const auto fetched = fetch_instruction(state, memory, mmu, linear, size);
        out += fetched.line;
        if (!fetched.decoded) break;
        linear += fetched.instruction.length();
    }
    return out;
}

std::string format_registers(unsigned vcpu, const CpuState& state) {
    constexpr std::array<const char*, 16> kNames{"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                 "r12", "r13", "r14", "r15"};
    constexpr std::array<const char*, x86::kSegmentCount> kSegments{"es", "cs", "ss",
                                                                    "ds", "fs", "gs"};
    std::string out = fmt::format("vcpu {} rip {:016x} rflags {:016x} cpl {}{}\n", vcpu, state.rip,
                                  state.flags.value(), state.cpl(), state.halted ? " halted" : "");
    for (unsigned i = 0; i < kNames.size(); ++i) {
        out += fmt::format("{:<3} {:016x}{}", kNames[i], state.gpr[i], i % 4 == 3 ? "\n" : "  ");
    }
    for (unsigned i = 0; i < kSegments.size(); ++i)
        out += segment_line(kSegments[i], state.segments[i]);
    out += segment_line("ldtr", state.ldtr) + segment_line("tr", state.tr);
    out += fmt::format("gdtr base {:016x} limit {:04x}  idtr base {:016x} limit {:04x}\n",
                       state.gdtr.base, state.gdtr.limit, state.idtr.base, state.idtr.limit);
    out += fmt::format("cr0 {:016x}  cr2 {:016x}  cr3 {:016x}  cr4 {:016x}  efer {:016x}\n",
                       state.cr0, state.cr2, state.cr3, state.cr4, state.efer);
    out +=
        fmt::format("dr0 {:016x}  dr1 {:016x}  dr2 {:016x}  dr3 {:016x}  dr6 {:08x}  dr7 {:08x}\n",
                    state.dr[0], state.dr[1], state.dr[2], state.dr[3], state.dr6, state.dr7);
    return out;
}

}  // namespace mynah
