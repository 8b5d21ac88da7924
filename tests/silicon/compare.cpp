#include "silicon/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "cpu/cpu_state.h"
#include "silicon/maker.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

namespace rflags = x86::rflags;

constexpr const char* kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr const char* kSegmentNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};

// Components that the header says are in their initial state are given it [SDM 1 13.6].
void normalise_xsave(std::span<std::byte, kXsaveBytes> area) {
    const auto components = load_unaligned<uint64_t>(area.data() + kHeaderOffset);
    if ((components & 1) == 0) {
        std::memset(area.data(), 0, kMxcsrOffset);
        std::memset(area.data() + 32, 0, 128);
        store_unaligned(area.data(), uint16_t{0x37f});
    }
    if ((components & 2) == 0) std::memset(area.data() + kXmmOffset, 0, 256);
    if ((components & 4) == 0) std::memset(area.data() + kAvxOffset, 0, 256);
    std::memset(area.data() + 5, 0, 1);
    if (!host_stores_x87_pointers()) std::memset(area.data() + 6, 0, 18);
    // Addresses have 57 bits at most, also those that FXRSTOR found in memory.
    for (const unsigned offset : {8u, 16u}) {
        const auto address = load_unaligned<uint64_t>(area.data() + offset);
        store_unaligned(area.data() + offset, sign_extend(address, 57));
    }
    for (unsigned i = 0; i < 8; ++i) std::memset(area.data() + 32 + 16 * i + 10, 0, 6);
}

// The host is single-stepped, which PUSHF shows.
void hide_trap_flag(const Instruction& instruction, Ending& ending) {
    switch (instruction.mnemonic()) {
        case ZYDIS_MNEMONIC_PUSHF:
        case ZYDIS_MNEMONIC_PUSHFD:
        case ZYDIS_MNEMONIC_PUSHFQ: break;
        default: return;
    }
    const uint64_t at = ending.after.gpr[kRsp] + 1;
    if (ending.vector != Ending::kCompleted || at < kDataAddress ||
        at >= kDataAddress + kMemoryBytes)
        return;
    ending.memory[at - kDataAddress] &= std::byte{0xfe};
}

// The kernel's return to user mode clears the RPL of null selectors.
uint16_t without_null_rpl(uint16_t selector) { return selector <= 3 ? 0 : selector; }

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (size_t i = bytes.size(); i-- > 0;)
        text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
    return text;
}

// What a faulting instruction may have done although it is restarted: where the manual promises
// nothing, the host's way is not asked of an engine.
struct Tolerance {
    bool memory = false;         // part of the operand may be stored already
    bool address_in_page = false;  // any byte of the operand's page may be named as the fault's
    bool address = false;          // any byte of the operand
    bool registers = false;        // some may be loaded already
    bool vectors = false;          // the same, of x87 and vector state
    bool which_fault = false;      // of several that are due
};
Tolerance tolerance(const Instruction* last, const Ending& host) {
    if (host.vector == Ending::kCompleted || last == nullptr) return {};
    // Several words of stack and of descriptors, in an order that is nobody's business.
    if (last->info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return {.memory = true, .address = true, .which_fault = true};
    }
    switch (last->mnemonic()) {
        case ZYDIS_MNEMONIC_CALL:  // pushes before it finds the target non-canonical
        case ZYDIS_MNEMONIC_FSTP:  // 80 bits are stored in two parts
        case ZYDIS_MNEMONIC_FBSTP: return {.memory = true};
        case ZYDIS_MNEMONIC_POPA:
        case ZYDIS_MNEMONIC_POPAD: return {.address_in_page = true, .registers = true};
        case ZYDIS_MNEMONIC_XRSTOR:
        case ZYDIS_MNEMONIC_XRSTOR64:
            return {.address = true, .vectors = true, .which_fault = true};
        // Structures, whose parts silicon accesses in an order of its own.
        case ZYDIS_MNEMONIC_FNSTENV:
        case ZYDIS_MNEMONIC_FLDENV:
        case ZYDIS_MNEMONIC_FNSAVE:
        case ZYDIS_MNEMONIC_FRSTOR:
        case ZYDIS_MNEMONIC_FXSAVE:
        case ZYDIS_MNEMONIC_FXSAVE64:
        case ZYDIS_MNEMONIC_FXRSTOR:
        case ZYDIS_MNEMONIC_FXRSTOR64:
        case ZYDIS_MNEMONIC_XSAVE:
        case ZYDIS_MNEMONIC_XSAVE64:
        case ZYDIS_MNEMONIC_XSAVEC:
        case ZYDIS_MNEMONIC_XSAVEC64:
        case ZYDIS_MNEMONIC_XSAVEOPT:
        case ZYDIS_MNEMONIC_XSAVEOPT64:
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
        case ZYDIS_MNEMONIC_RET:
        case ZYDIS_MNEMONIC_ENTER:
        case ZYDIS_MNEMONIC_PUSHA:
        case ZYDIS_MNEMONIC_PUSHAD: return {.memory = true, .address = true};
        case ZYDIS_MNEMONIC_VMASKMOVPS:
        case ZYDIS_MNEMONIC_VMASKMOVPD:
        case ZYDIS_MNEMONIC_VPMASKMOVD:
        case ZYDIS_MNEMONIC_VPMASKMOVQ:
        case ZYDIS_MNEMONIC_MASKMOVQ:
        case ZYDIS_MNEMONIC_MASKMOVDQU:
        case ZYDIS_MNEMONIC_VMASKMOVDQU: return {.address_in_page = true};
        default: return {};
    }
}

class Comparison {
 public:
    Comparison(const Subject& subject, const Ending& host, const Ending& guest)
        : subject_(subject), host_(host), guest_(guest) {}

    std::vector<std::string> run() {
        const Tolerance allowed = tolerance(subject_.last, host_);
        if (!allowed.which_fault || guest_.vector < 0) {
            number("exception", static_cast<unsigned>(host_.vector),
                   static_cast<unsigned>(guest_.vector));
        }
        if (host_.vector == guest_.vector) {
            // Another page of several that fault may also be another kind of fault.
            const uint32_t compared = allowed.address ? ~uint32_t{1} : ~uint32_t{0};
            number("error code", host_.error_code & compared, guest_.error_code & compared);
            const uint64_t ignored = allowed.address           ? ~uint64_t{0}
                                     : allowed.address_in_page ? 0xfff
                                                               : 0;
            number("fault address", host_.fault_address & ~ignored,
                   guest_.fault_address & ~ignored);
        }
        const Registers& h = host_.after;
        const Registers& g = guest_.after;
        const unsigned gprs = subject_.mode == CodeSize::k64 || h.selectors[1] == 0x33 ? 16 : 8;
        // Going from 64-bit to 32-bit code leaves the upper halves undefined [SDM 1 3.4.1.1].
        const bool left64 = subject_.mode == CodeSize::k64 && h.selectors[1] != 0x33;
        const uint64_t defined = left64 ? 0xffffffff : ~uint64_t{0};
        for (unsigned i = 0; i < gprs && !allowed.registers; ++i) {
            number(kGprNames[i], h.gpr[i] & defined, g.gpr[i] & defined);
        }
        number("rip", h.rip, g.rip);
        constexpr uint64_t kCompared = rflags::kArithmetic | rflags::kDf | rflags::kNt |
                                       rflags::kAc | rflags::kId | rflags::kIf;
        const uint64_t mask = kCompared & ~subject_.undefined_flags;
        number("rflags", h.rflags & mask, g.rflags & mask);
        number("gs base", h.gs_base, g.gs_base);
        for (unsigned i = 0; i < 6; ++i) {
            number(kSegmentNames[i], without_null_rpl(h.selectors[i]),
                   without_null_rpl(g.selectors[i]));
        }
        if (!allowed.vectors) {
            x87();
            vectors();
        }
        if (!allowed.memory) memory();
        return std::move(lines_);
    }

 private:
    void number(const char* what, uint64_t host, uint64_t guest) {
        if (host != guest)
            lines_.push_back(fmt::format("{}: host {:x}, guest {:x}", what, host, guest));
    }
    void bytes(const std::string& what, std::span<const std::byte> host,
               std::span<const std::byte> guest) {
        if (!std::ranges::equal(host, guest)) {
            lines_.push_back(fmt::format("{}: host {}, guest {}", what, hex(host), hex(guest)));
        }
    }
    std::span<const std::byte> host_area(unsigned offset, unsigned size) const {
        return std::span(host_.after.xsave).subspan(offset, size);
    }
    std::span<const std::byte> guest_area(unsigned offset, unsigned size) const {
        return std::span(guest_.after.xsave).subspan(offset, size);
    }
    void area(const std::string& what, unsigned offset, unsigned size) {
        bytes(what, host_area(offset, size), guest_area(offset, size));
    }

    bool same(unsigned offset, unsigned size) const {
        return std::memcmp(host_.after.xsave.data() + offset, guest_.after.xsave.data() + offset,
                           size) == 0;
    }

    void x87() {
        area("fcw", 0, 2);
        area("fsw", 2, 2);
        area("x87 tags", 4, 1);
        area("fop", 6, 2);
        area("fip", 8, 8);
        area("fdp", 16, 8);
        if (same(32, 128)) return;
        for (unsigned i = 0; i < 8; ++i) area(fmt::format("st{}", i), 32 + 16 * i, 10);
    }
    void vectors() {
        area("mxcsr", kMxcsrOffset, 4);
        if (same(kXmmOffset, 256) && same(kAvxOffset, 256)) return;
        for (unsigned i = 0; i < 16; ++i) {
            area(fmt::format("xmm{}", i), kXmmOffset + 16 * i, 16);
            area(fmt::format("ymm{} high", i), kAvxOffset + 16 * i, 16);
        }
    }
    void memory() {
        if (std::memcmp(host_.memory.data(), guest_.memory.data(), kMemoryBytes) == 0) return;
        const auto [h, g] = std::ranges::mismatch(host_.memory, guest_.memory);
        const auto at = static_cast<size_t>(h - host_.memory.begin());
        const size_t size = std::min<size_t>(16, kMemoryBytes - at);
        bytes(fmt::format("memory at {:x}", kDataAddress + at),
              std::span(host_.memory).subspan(at, size),
              std::span(guest_.memory).subspan(at, size));
    }

    const Subject& subject_;
    const Ending& host_;
    const Ending& guest_;
    std::vector<std::string> lines_;
};

}  // namespace

uint64_t undefined_flags(const Instruction& instruction) {
    const ZydisAccessedFlags* flags = instruction.info.cpu_flags;
    return flags == nullptr ? 0 : flags->undefined;
}

std::vector<std::string> differences(const Subject& subject, Ending& host, Ending& guest) {
    normalise_xsave(host.after.xsave);
    normalise_xsave(guest.after.xsave);
    if (subject.stepped && subject.last != nullptr) {
        hide_trap_flag(*subject.last, host);
        hide_trap_flag(*subject.last, guest);
    }
    return Comparison(subject, host, guest).run();
}

}  // namespace mynah::silicon
