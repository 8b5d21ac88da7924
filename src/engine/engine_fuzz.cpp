// Runs arbitrary code in an arbitrary processor state over arbitrary tables: whatever a guest does
// must end in an exit, never in a crash, a sanitizer report or an endless loop of ours.

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/bits.h"
#include "engine/engine.h"
#include "spec/x86/msr.h"
#include "spec/x86/paging.h"
#include "testing/no_ports.h"

namespace mynah {
namespace {

constexpr uint64_t kMemorySize = 1u << 20;
constexpr uint64_t kGdt = 0x2000, kIdt = 0x3000, kTss = 0x4000, kTables = 0x10000, kCode = 0x8000;

class SilentPorts final : public NoPorts {
  public:
    std::optional<uint64_t> read_msr(uint32_t index) override {
        return index == x86::msr::kApicBase ? std::optional<uint64_t>(0xfee00900) : std::nullopt;
    }
};

// Takes what it needs from the input's front; zeros when it has run out.
class Input {
  public:
    Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}
    template <typename T>
    T take() {
        T value{};
        const size_t count = std::min(left_, sizeof value);
        std::memcpy(&value, data_, count);
        data_ += count;
        left_ -= count;
        return value;
    }
    std::span<const std::byte> rest() const { return std::as_bytes(std::span(data_, left_)); }

  private:
    const uint8_t* data_;
    size_t left_;
};

struct Machine {
    std::unique_ptr<GuestMemory> memory;
    CpuidPolicy cpuid;
    std::unique_ptr<Engine> engine;
    SilentPorts ports;
    std::unique_ptr<CpuSignals> signals;
    std::unique_ptr<Vcpu> vcpu;
};

Machine& machine() {
    static Machine instance = [] {
        const GuestMemory::Range range{GuestPhys(0), kMemorySize};
        Machine made{.memory = GuestMemory::create({&range, 1}).take_value(),
                     .cpuid = CpuidPolicy::create("max", {}, 2'000'000'000).take_value(),
                     .engine = nullptr,
                     .ports = {},
                     .signals = std::make_unique<CpuSignals>(),
                     .vcpu = nullptr};
        return made;
    }();
    // Not before it is in its place: the engine refers to its parts. One vCPU serves all inputs, as
    // making one costs more than running it.
    if (instance.engine == nullptr) {
        instance.engine = make_interpreter(*instance.memory, instance.cpuid).take_value();
        instance.vcpu = instance.engine->create_vcpu(instance.ports, *instance.signals, VcpuIndex(0));
    }
    return instance;
}

// Identity-mapped tables for the three kinds of paging at kTables, some entries spoilt.
void make_tables(GuestMemory& memory, Input& input, bool long_mode, bool pae) {
    namespace entry = x86::page_entry;
    constexpr uint64_t kAll = entry::kPresent | entry::kWritable | entry::kUser;
    const auto put = [&memory](uint64_t at, auto value) {
        (void)memory.store(GuestPhys(at), value);
    };
    if (long_mode || pae) {
        put(kTables, kTables + 0x1000 | (long_mode ? kAll : entry::kPresent));
        put(kTables + 0x1000, kTables + 0x2000 | kAll);
        put(kTables + 0x2000, kTables + 0x3000 | kAll);
        for (uint64_t i = 0; i < 256; ++i) {
            put((long_mode ? kTables + 0x3000 : kTables + 0x2000) + i * 8, i << 12 | kAll);
        }
    } else {
        put(kTables, static_cast<uint32_t>(kTables + 0x1000 | kAll));
        for (uint64_t i = 0; i < 256; ++i) {
            put(kTables + 0x1000 + i * 4, static_cast<uint32_t>(i << 12 | kAll));
        }
    }
    for (unsigned i = 0; i < 4; ++i) {
        put(kTables + (input.take<uint16_t>() & 0x3ff8), input.take<uint64_t>());
    }
}

SegmentRegister segment(Input& input, bool code, unsigned cpl, bool long_mode) {
    namespace attr = x86::segment_attribute;
    const auto odd = input.take<uint8_t>();
    SegmentRegister result{.base = 0,
                           .limit = 0xffffffff,
                           .attributes = attr::kPresent | attr::kCodeOrData |
                                         attr::kReadableOrWritable | attr::kAccessed |
                                         attr::kGranularity | cpl << attr::kDplShift,
                           .selector = static_cast<uint16_t>((odd & 0xf8) | cpl)};
    if (code) result.attributes |= attr::kCode;
    result.attributes |= code && long_mode && (odd & 1) == 0 ? attr::kLong : attr::kDefaultBig;
    if ((odd & 6) == 6 && !long_mode) {
        result.base = input.take<uint16_t>();
        result.limit = input.take<uint16_t>();
        result.attributes &= ~(attr::kDefaultBig | attr::kGranularity);
    }
    return result;
}

void make_state(CpuState& s, Input& input, Machine& m) {
    const auto shape = input.take<uint8_t>();
    const bool protected_mode = (shape & 1) != 0, paging = protected_mode && (shape & 2) != 0;
    const bool long_mode = paging && (shape & 4) != 0, pae = paging && (shape & 8) != 0;
    const bool v86 = protected_mode && !long_mode && (shape & 0x10) != 0;
    const unsigned cpl = !protected_mode ? 0 : v86 || (shape & 0x20) != 0 ? 3 : 0;
    s = reset_state();
    s.cr0 = x86::cr0::kEt | (protected_mode ? x86::cr0::kPe : 0) | (paging ? x86::cr0::kPg : 0) |
            (input.take<uint32_t>() & (x86::cr0::kWp | x86::cr0::kAm | x86::cr0::kTs));
    s.cr4 = (input.take<uint32_t>() & m.cpuid.valid_cr4() & ~(x86::cr4::kPae | x86::cr4::kPcide)) |
            (long_mode || pae ? x86::cr4::kPae : 0);
    s.efer = long_mode ? x86::efer::kLme | x86::efer::kLma | x86::efer::kSce | x86::efer::kNxe : 0;
    s.cr3 = kTables;
    if (paging) make_tables(*m.memory, input, long_mode, pae);
    s.pdpte[0] = (kTables + 0x1000) | x86::page_entry::kPresent;
    for (uint64_t& value : s.gpr) value = input.take<uint8_t>() * 0x101u;
    s.gpr[kRsp] = 0x7000;
    s.gpr[CpuState::kZeroSlot] = 0;
    if (protected_mode && !v86) {
        for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
            s.segments[i] = segment(input, i == 1, cpl, long_mode);
        }
    } else {
        for (SegmentRegister& seg : s.segments) {
            seg = {.base = 0, .limit = 0xffff, .attributes = 0x93u | cpl << 5, .selector = 0};
        }
    }
    s.flags.set((input.take<uint32_t>() & 0x3d7fd7) | (v86 ? x86::rflags::kVm : 0));
    s.gdtr = {.base = kGdt, .limit = 0x7ff};
    s.idtr = {.base = protected_mode ? kIdt : 0, .limit = 0xfff};
    s.ldtr = {.base = kGdt + 0x800, .limit = 0x7ff, .attributes = 0x82, .selector = 8};
    s.tr = {.base = kTss, .limit = 0x2100, .attributes = 0x8b, .selector = 0x10};
    s.dr = {kCode + 4, 0x7000, kTss, 0x80};
    s.dr7 = x86::dr7::kReset | (input.take<uint32_t>() & 0xffff23ff);
    s.lstar = s.sysenter_eip = kCode;
    s.sysenter_esp = 0x7800;
    s.sysenter_cs = 8;
    s.star = 0x0010000800000000;
    s.rip = kCode;
}

}  // namespace
}  // namespace mynah

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mynah;
    Machine& m = machine();
    (void)m.memory->fill(GuestPhys(0), std::byte{0}, kMemorySize);
    Input input(data, size);
    Vcpu* vcpu = m.vcpu.get();
    m.signals->lower(~0u);
    make_state(vcpu->state(), input, m);
    // The rest of the input is the code, the descriptor tables and the TSS all at once.
    const auto rest = input.rest().first(std::min<size_t>(input.rest().size(), 0x800));
    for (uint64_t at : {kCode, kGdt, kGdt + 0x800, kIdt, kTss})
        (void)m.memory->write(GuestPhys(at), rest);
    vcpu->state_changed();
    for (unsigned i = 0; i < 8; ++i) {
        const VcpuExit exit = vcpu->run(64);
        if (exit == VcpuExit::kShutdown) break;
        m.signals->raise(i % 2 == 0 ? CpuSignals::kNmi : CpuSignals::kInterrupt);
    }
    return 0;
}
