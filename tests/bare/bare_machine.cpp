#include "bare_machine.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "spec/x86/msr.h"
#include "watchdog.h"

namespace mynah::bare {
namespace {

constexpr uint16_t kExitPort = 0xf4, kInterruptPort = 0xf5, kNmiPort = 0xf6,
                   kDmaAddressPort = 0xf7, kDmaPort = 0xf8, kLateDmaPort = 0xf9, kAlarmPort = 0xfa, kSmiPort = 0xfb,
                   kHypervisorPort = 0xfc;
constexpr uint64_t kMmioCells = 0xfe000000, kMmioCode = 0xfd000000, kFlash = 0xfc000000,
                   kManagementPage = 0x3000000;
constexpr uint8_t kReadArray = 0xff, kFlashStatus = 0x80;
constexpr uint32_t kMagic = 0x48414e59;
constexpr uint64_t kEntryOffset = 16;

std::unique_ptr<GuestMemory> make_memory() {
    const GuestMemory::Range range{GuestPhys(0), BareMachine::kMemorySize};
    return GuestMemory::create({&range, 1}, kPageSize).take_value();
}

std::unique_ptr<Engine> made(Result<std::unique_ptr<Engine>> engine) {
    if (!engine) fmt::print(stderr, "{}\n", engine.error().message());
    CHECK(engine.ok());
    return engine.take_value();
}

}  // namespace

BareMachine::BareMachine(const EngineFactory& engine, const EngineFactory& other)
    : memory_(make_memory()),
      cpuid_(CpuidPolicy::create("max", {}, 2'000'000'000).take_value()),
      factory_(engine),
      other_factory_(other),
      engine_(made(engine(*memory_, cpuid_))),
      vcpu_(engine_->create_vcpu(*this, signals_, VcpuIndex(0))),
      dma_(*memory_),
      flash_(memory_->take_block(kPageSize)),
      flash_slot_(memory_->take_overlay()),
      kvm_(*memory_, kvm_host_, 2'000'000'000, 1) {
    kvm_.reset(0);
    for (unsigned i = 0; i < flash_.size; ++i) flash_.host[i] = static_cast<std::byte>(i);
    memory_->on_map_change([this] { signals_.raise(CpuSignals::kMemoryMap); });
    show_flash(true);
    memory_->set_overlay(memory_->take_overlay(), {.start = GuestPhys(kManagementPage),
                                                   .size = kPageSize,
                                                   .kind = MemoryOverlay::Kind::kHole,
                                                   .management = false});
}

void BareMachine::show_flash(bool array) {
    const auto kind = array ? MemoryOverlay::Kind::kReadOnly : MemoryOverlay::Kind::kHole;
    memory_->set_overlay(flash_slot_, {.start = GuestPhys(kFlash),
                                       .size = flash_.size,
                                       .kind = kind,
                                       .offset = flash_.offset});
}

std::optional<std::string> BareMachine::load(std::span<const std::byte> image) {
    uint32_t header[2];
    if (image.size() < kEntryOffset) return "shorter than its header";
    std::memcpy(header, image.data(), sizeof header);
    if (header[0] != kMagic) return "without the header of bare.h";
    if (!memory_->write(GuestPhys(kImageAddress), image)) return "larger than memory";
    expectation_ = static_cast<Expectation>(header[1]);
    CpuState& state = vcpu_->state();
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.selector = 0;
    cs.base = 0;
    state.rip = kImageAddress + kEntryOffset;
    vcpu_->state_changed();
    return std::nullopt;
}

Ending BareMachine::run(std::optional<uint64_t> instruction_limit) {
    const Watchdog watchdog([this] { signals_.raise(CpuSignals::kKick); });
    const VcpuExit exit = other_factory_      ? run_on_both()
                          : instruction_limit ? vcpu_->run(*instruction_limit)
                                              : vcpu_->run();
    return {.exit = exit, .exit_value = exit_value_, .state = vcpu_->state()};
}

// Instruction by instruction at first, then in longer and longer steps.
VcpuExit BareMachine::run_on_both() {
    for (uint64_t turn = 0;; ++turn) {
        const VcpuExit exit = vcpu_->run(1 + turn * turn / 16);
        if (exit != VcpuExit::kInstructionLimit) return exit;
        exchange_engine();
    }
}

void BareMachine::exchange_engine() {
    const CpuState state = vcpu_->state();
    vcpu_.reset();
    std::swap(factory_, other_factory_);
    engine_ = factory_(*memory_, cpuid_).take_value();
    vcpu_ = engine_->create_vcpu(*this, signals_, VcpuIndex(0));
    vcpu_->state() = state;
    vcpu_->state_changed();
    signals_.alarm();
}

uint32_t BareMachine::io_read(IoPort, unsigned) { return ~0u; }

void BareMachine::io_write(IoPort port, unsigned, uint32_t value) {
    switch (port.value) {
        case kExitPort:
            if (!exit_value_) exit_value_ = value;
            signals_.raise(CpuSignals::kKick);
            break;
        case kInterruptPort:
            interrupt_vector_ = static_cast<uint8_t>(value);
            signals_.raise(CpuSignals::kInterrupt);
            break;
        case kNmiPort:
            signals_.raise(CpuSignals::kNmi);
            break;
        case kSmiPort:
            signals_.raise(CpuSignals::kSmi);
            break;
        case kHypervisorPort:
            hypervisor_ = true;
            break;
        case kDmaAddressPort:
            dma_address_ = value;
            break;
        case kDmaPort:
            write_by_dma(dma_address_, value);
            break;
        case kLateDmaPort:
            delayed_.add([this, address = dma_address_, value] { write_by_dma(address, value); });
            break;
        case kAlarmPort:
            delayed_.add([this, value] {
                interrupt_vector_ = static_cast<uint8_t>(value);
                signals_.raise(CpuSignals::kInterrupt);
            });
            break;
        default:
            break;
    }
}

void BareMachine::write_by_dma(uint32_t address, uint32_t value) {
    (void)dma_.store(GuestPhys(address), value);
}

uint64_t BareMachine::mmio_read(GuestPhys address, unsigned size) {
    static constexpr std::array<uint8_t, 16> kCode = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3};
    uint64_t value = ~uint64_t{0};
    if (const uint64_t at = address.value - kMmioCode; at < kCode.size() - size)
        std::memcpy(&value, &kCode[at], size);
    if (const uint64_t at = address.value - kMmioCells; at <= cells_.size() - size)
        std::memcpy(&value, &cells_[at], size);
    if (address.value - kFlash < flash_.size) value = kFlashStatus * 0x0101010101010101u;
    return value;
}

void BareMachine::mmio_write(GuestPhys address, unsigned size, uint64_t value) {
    if (const uint64_t at = address.value - kMmioCells; at <= cells_.size() - size)
        std::memcpy(&cells_[at], &value, size);
    if (address.value - kFlash < flash_.size) show_flash(static_cast<uint8_t>(value) == kReadArray);
}

std::optional<uint8_t> BareMachine::acknowledge_interrupt() {
    signals_.lower(CpuSignals::kInterrupt);
    return interrupt_vector_;
}

std::optional<uint64_t> BareMachine::read_msr(uint32_t index) {
    if (index == x86::msr::kApicBase)
        return 0xfee00000 | x86::msr::kApicBaseEnable | x86::msr::kApicBaseBsp;
    return kvm() != nullptr ? kvm()->read_msr(index) : std::nullopt;
}

bool BareMachine::write_msr(uint32_t index, uint64_t value) {
    return kvm() != nullptr && kvm()->write_msr(index, value);
}

void BareMachine::tsc_moved(uint64_t offset) {
    if (kvm() != nullptr) kvm()->tsc_moved(offset);
}

bool BareMachine::hypercall(CpuState& state) {
    if (kvm() == nullptr) return false;
    kvm()->hypercall(state);
    return true;
}

ParavirtKvmVcpu* BareMachine::kvm() { return hypervisor_ ? &kvm_.vcpu(VcpuIndex(0)) : nullptr; }

bool BareMachine::KvmHost::send_interrupt(uint32_t apic_id, uint8_t vector) {
    if (apic_id != 0) return false;
    machine_.interrupt_vector_ = vector;
    machine_.signals_.raise(CpuSignals::kInterrupt);
    return true;
}

}  // namespace mynah::bare
