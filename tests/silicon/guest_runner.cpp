#include "silicon/guest_runner.h"

#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "memory/dma_view.h"
#include "silicon/guest_layout.h"
#include "silicon/host_runner.h"
#include "testing/no_ports.h"

namespace mynah::silicon {
namespace {

using x86::Segment;
namespace attr = x86::segment_attribute;
namespace rflags = x86::rflags;

constexpr int kDebug = 1, kBreakpoint = 3, kGeneralProtection = 13, kPageFault = 14;

// What the code area holds where no test is.
constexpr auto kBreakpointBytes = [] {
    std::array<std::byte, kCodeBytes> bytes;
    bytes.fill(std::byte{0xcc});
    return bytes;
}();
constexpr std::span<const std::byte> kBreakpoints = kBreakpointBytes;

bool pushes_error_code(int vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

void load_xsave(CpuState& state, std::span<const std::byte, kXsaveBytes> area) {
    X87State& x87 = state.x87;
    x87.fcw = load_unaligned<uint16_t>(area.data());
    x87.fsw = load_unaligned<uint16_t>(area.data() + 2);
    x87.tags = load_unaligned<uint8_t>(area.data() + 4);
    x87.fop = load_unaligned<uint16_t>(area.data() + 6);
    x87.fip = load_unaligned<uint64_t>(area.data() + 8);
    x87.fdp = load_unaligned<uint64_t>(area.data() + 16);
    for (unsigned i = 0; i < 8; ++i) {
        std::memcpy(static_cast<void*>(&x87.st(i)), area.data() + 32 + 16 * i, 10);
    }
    state.mxcsr = load_unaligned<uint32_t>(area.data() + kMxcsrOffset);
    for (unsigned i = 0; i < 16; ++i) {
        std::memcpy(state.vector[i].bytes.data(), area.data() + kXmmOffset + 16 * i, 16);
        std::memcpy(state.vector[i].bytes.data() + 16, area.data() + kAvxOffset + 16 * i, 16);
    }
}

void store_xsave(const CpuState& state, std::span<std::byte, kXsaveBytes> area) {
    std::memset(area.data(), 0, area.size());
    const X87State& x87 = state.x87;
    store_unaligned(area.data(), x87.fcw);
    store_unaligned(area.data() + 2, x87.fsw);
    store_unaligned(area.data() + 4, x87.tags);
    store_unaligned(area.data() + 6, x87.fop);
    store_unaligned(area.data() + 8, x87.fip);
    store_unaligned(area.data() + 16, x87.fdp);
    for (unsigned i = 0; i < 8; ++i) std::memcpy(area.data() + 32 + 16 * i, &x87.st(i), 10);
    store_unaligned(area.data() + kMxcsrOffset, state.mxcsr);
    for (unsigned i = 0; i < 16; ++i) {
        std::memcpy(area.data() + kXmmOffset + 16 * i, state.vector[i].bytes.data(), 16);
        std::memcpy(area.data() + kAvxOffset + 16 * i, state.vector[i].bytes.data() + 16, 16);
    }
    store_unaligned(area.data() + kHeaderOffset, uint64_t{7});
}

class GuestRunner final : public Runner {
 public:
    GuestRunner(std::unique_ptr<GuestMemory> memory, std::unique_ptr<Engine> engine)
        : memory_(std::move(memory)), dma_(*memory_), engine_(std::move(engine)) {
        build_kernel(*memory_);
        vcpu_ = engine_->create_vcpu(ports_, signals_, VcpuIndex(0));
        initial_ = user_state(vcpu_->state());
    }

    void run(const Case& test, Ending& result) override {
        prepare_memory(test.memory);
        write(kGuestCode + test.code_offset,
              std::as_bytes(std::span(test.code)).first(test.instruction.length()));
        CpuState& state = vcpu_->state();
        state = initial_;
        set_registers(state, test.before);
        const bool step = (test.number & 1) != 0 && !repeats_comparison(test);
        if (step) state.flags.system |= rflags::kTf;
        vcpu_->state_changed();
        VcpuExit exit = VcpuExit::kInstructionLimit;
        // Instructions that give way (REP) come back here.
        for (unsigned i = 0; i < 64; ++i) {
            exit = vcpu_->run(1000);
            if (exit != VcpuExit::kInstructionLimit && !(step && between_repeats(test))) break;
        }
        take_result(exit, result);
        recognise_completion(test, step, result);
        write(kGuestCode + test.code_offset, kBreakpoints.first(sizeof test.code));
    }

    void run(const Program& block, const Injection& injection, Pace pace,
             Ending& result) override {
        prepare_memory(block.memory);
        write(kGuestScratch, block.scratch);
        // Written only if it is another block, so that the engine may keep what it made of it.
        if (pace != Pace::kAgain || block.modifies_itself) write_code(block);
        if (injection.kind != Injection::Kind::kNone) inject(*memory_, injection);
        CpuState& state = vcpu_->state();
        state = initial_;
        set_registers(state, block.before);
        vcpu_->state_changed();
        take_result(run_to_end(pace), result);
        if (injection.kind != Injection::Kind::kNone) withdraw(*memory_, injection);
        if (result.vector == kGeneralProtection && stores_system_state(block.mode, result)) {
            result.vector = Ending::kUnjudged;
        }
        if (result.vector == kBreakpoint) {
            result.after.rip -= 1;
            result.vector = Ending::kCompleted;
        }
    }

 private:
    // What UMIP forbids; code that changes itself can come upon it. Linux catches the fault and
    // stores values of its own.
    bool stores_system_state(CodeSize mode, const Ending& ending) const {
        const uint64_t area = ending.after.rip & ~(kCodeBytes - 1);
        if (area != kCodeAddress && area != kWritableCodeAddress) return false;
        const uint64_t offset = ending.after.rip & (kCodeBytes - 1);
        std::array<std::byte, kMaxInstructionLength> bytes{};
        const size_t size = std::min<size_t>(bytes.size(), kCodeBytes - offset);
        CHECK(memory_->read(GuestPhys(kGuestCode + offset), std::span(bytes).first(size)));
        Instruction instruction;
        if (decode(bytes, mode, instruction) != DecodeStatus::kOk) return false;
        switch (instruction.mnemonic()) {
            case ZYDIS_MNEMONIC_SGDT:
            case ZYDIS_MNEMONIC_SIDT:
            case ZYDIS_MNEMONIC_SLDT:
            case ZYDIS_MNEMONIC_STR:
            case ZYDIS_MNEMONIC_SMSW: return true;
            default: return false;
        }
    }

    // Their flags are those of before the instruction after a fault, which single steps, each an
    // instruction begun anew, cannot show; the host is not stepped.
    static bool repeats_comparison(const Case& test) {
        return test.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPE) ||
               test.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPNE);
    }

    // As a device would, so that engines notice.
    void write(uint64_t at, std::span<const std::byte> bytes) {
        CHECK(dma_.write(GuestPhys(at), bytes));
    }

    void write_code(const Program& block) {
        write(kGuestCode + last_offset_, kBreakpoints.first(last_size_));
        last_offset_ = block.code_offset();
        last_size_ = block.code.size();
        write(kGuestCode + last_offset_, std::as_bytes(std::span(block.code)));
    }

    void prepare_memory(const std::vector<Patch>& patches) {
        write(kGuestMemory, common_memory());
        for (const Patch& patch : patches) {
            write(kGuestMemory + (patch.address - kDataAddress), patch.bytes);
        }
    }

    VcpuExit run_to_end(Pace pace) {
        // Without a limit, since engines that count instructions may leave out what is hard about
        // them. A kick ends what does not end by itself.
        if (pace != Pace::kChopped) {
            const KickLater watch(signals_);
            return vcpu_->run();
        }
        constexpr unsigned kMostPortions = 200'000;
        VcpuExit exit = VcpuExit::kInstructionLimit;
        for (unsigned i = 0; i < kMostPortions && exit == VcpuExit::kInstructionLimit; ++i)
            exit = vcpu_->run(1 + chop_++ % 7);
        return exit;
    }

    static void set_registers(CpuState& state, const Registers& before) {
        std::copy(before.gpr.begin(), before.gpr.end(), state.gpr.begin());
        state.rip = before.rip;
        state.flags.set(before.rflags);
        set_segments(state, before);
        load_xsave(state, before.xsave);
    }

    static void set_segments(CpuState& state, const Registers& before) {
        const bool code64 = before.selectors[1] == 0x33;
        SegmentRegister& cs = state.segment(Segment::kCs);
        cs.selector = before.selectors[1];
        cs.attributes = attr::kPresent | attr::kDpl | attr::kCodeOrData | attr::kCode |
                        attr::kReadableOrWritable | attr::kAccessed | attr::kGranularity |
                        (code64 ? attr::kLong : attr::kDefaultBig);
        state.segment(Segment::kFs).base = host_fs_base();
        state.segment(Segment::kGs).base = before.gs_base;
    }

    // A single-step trap between two iterations: goes back, as a kernel would.
    bool between_repeats(const Case& test) {
        CpuState& state = vcpu_->state();
        if (!test.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                         ZYDIS_ATTRIB_HAS_REPNE) ||
            state.rip != kKernel + kHandlers + kDebug * kHandlerBytes + 1) {
            return false;
        }
        const GuestPhys frame(state.gpr[kRsp] - kKernel);
        const auto words = memory_->load<std::array<uint64_t, 5>>(frame).value();
        if (words[0] != test.address()) return false;
        state.segments = initial_.segments;
        set_segments(state, test.before);
        state.rip = words[0];
        state.flags.set(words[2]);
        state.gpr[kRsp] = words[3];
        vcpu_->state_changed();
        return true;
    }

    // The interrupt frame tells how the user code was left; the rest is in the registers.
    void take_result(VcpuExit exit, Ending& result) {
        std::memcpy(result.memory.data(), memory_->host(GuestPhys(kGuestMemory), kMemoryBytes),
                    kMemoryBytes);
        const CpuState& state = vcpu_->state();
        Registers& after = result.after;
        std::copy_n(state.gpr.begin(), 16, after.gpr.begin());
        after.gs_base = state.segment(Segment::kGs).base;
        for (unsigned i = 0; i < 6; ++i) after.selectors[i] = state.segments[i].selector;
        store_xsave(state, after.xsave);
        result.error_code = 0;
        result.fault_address = 0;
        const uint64_t handler = state.rip - 1 - (kKernel + kHandlers);
        if (exit != VcpuExit::kHalted || handler % kHandlerBytes != 0 ||
            handler / kHandlerBytes >= kVectors) {
            result.vector = Ending::kLost;
            after.rip = state.rip;
            after.rflags = state.flags.value();
            return;
        }
        result.vector = static_cast<int>(handler / kHandlerBytes);
        GuestPhys frame(state.gpr[kRsp] - kKernel);
        if (pushes_error_code(result.vector)) {
            result.error_code = memory_->load<uint32_t>(frame).value_or(0);
            frame = frame + 8;
        }
        const auto words = memory_->load<std::array<uint64_t, 5>>(frame).value();
        after.rip = words[0];
        after.selectors[1] = static_cast<uint16_t>(words[1]);
        after.rflags = words[2] & ~rflags::kTf;
        after.gpr[kRsp] = words[3];
        after.selectors[2] = static_cast<uint16_t>(words[4]);
        if (result.vector == kPageFault) result.fault_address = state.cr2;
    }

    static void recognise_completion(const Case& test, bool step, Ending& result) {
        if (result.vector == Ending::kLost) return;
        Registers& after = result.after;
        if (step && result.vector == kDebug) result.vector = Ending::kCompleted;
        // Also behind an instruction that delays the single-step trap.
        if (result.vector == kBreakpoint) {
            after.rip -= 1;
            result.vector = Ending::kCompleted;
        }
        // A jump out of the test's code: complete, and fetching there is another matter.
        const bool elsewhere = after.rip != test.address();
        const bool fetch = result.vector == kPageFault && result.fault_address == after.rip;
        if (!step && elsewhere && (fetch || result.vector == kGeneralProtection))
            result.vector = Ending::kCompleted;
        if (result.vector == Ending::kCompleted) result.error_code = 0, result.fault_address = 0;
    }

    NoPorts ports_;
    CpuSignals signals_;
    std::unique_ptr<GuestMemory> memory_;
    DmaView dma_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Vcpu> vcpu_;
    CpuState initial_;
    uint64_t last_offset_ = 0, last_size_ = 0;  // of the block that is in the code area
    uint64_t chop_ = 0;
};

}  // namespace

Result<std::unique_ptr<Runner>> make_guest_runner(const EngineFactory& factory,
                                                  const CpuidPolicy& policy) {
    const GuestMemory::Range range{.start = GuestPhys(0), .size = kGuestBytes};
    auto memory = TRY(GuestMemory::create(std::span(&range, 1)));
    auto engine = TRY(factory(*memory, policy));
    return std::unique_ptr<Runner>(new GuestRunner(std::move(memory), std::move(engine)));
}

}  // namespace mynah::silicon
