#include "machine/boards/pc_board.h"

#include <fmt/core.h>

#include <ctime>

#include "base/check.h"
#include "base/log.h"
#include "machine/boards/pc_layout.h"

namespace mynah {
namespace {

timespec host_wall_time() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

EventTimers::Lines event_timer_lines(InterruptRouter& router) {
    EventTimers::Lines lines{router.isa(0), router.isa(pc::kRtcIrq), {}};
    for (unsigned i = 0; i < lines.gsis.size(); ++i)
        lines.gsis[i] = &router.add_gsi_wire(Gsi(hpet::timer::kFirstGsi + i));
    return lines;
}

// SLP_TYP of soft-off: 0 is what firmware for virtual machines writes, 5 what our ACPI tables say,
// 7 the ICH9's own [ICH9 13.8.3.3].
constexpr uint8_t kSoftOffTypes = 1u << 0 | 1u << acpi::kSleepTypeSoftOff | 1u << 7;

class NoLine final : public InterruptLine {
    void set(bool) override {}
};
NoLine& no_line() {
    static NoLine line;
    return line;
}

}  // namespace

Result<std::unique_ptr<PcBoard>> PcBoard::create(const BoardContext& context,
                                                 const PcBoardParts& parts) {
    std::unique_ptr<PcBoard> board(new PcBoard(context, parts));
    board->make_chipset();
    TRY(board->map_chips());
    TRY(board->add_serial_ports(parts.serial));
    TRY(board->add_devices());
    // Overlays that lie over those of devices come last.
    TRY(board->place_firmware());
    board->mch_->finish();
    return board;
}

PcBoard::PcBoard(const BoardContext& context, const PcBoardParts& parts)
    : PcBoard(context, parts, host_wall_time()) {}

PcBoard::PcBoard(const BoardContext& context, const PcBoardParts& parts, const timespec& now)
    : at_(context),
      parts_(parts),
      pics_(context.pics),
      io_apic_(context.apic_bus, context.clock),
      router_(pics_, io_apic_),
      pirqs_(router_),
      event_timers_(context.clock, event_timer_lines(router_)),
      timer_(context.clock, event_timers_.irq0_input()),
      rtc_(context.clock, event_timers_.irq8_input(), now.tv_sec,
           static_cast<uint32_t>(now.tv_nsec)),
      keyboard_(router_.isa(pc::kKeyboardIrq), router_.isa(pc::kMouseIrq), a20_, context.power,
                context.clock),
      port_a_(a20_, context.power),
      reset_control_(context.power),
      acpi_(context.clock, router_.isa(pc::kSciIrq), context.power,
            AcpiFixedHardware::TimerWidth::k24, kSoftOffTypes),
      power_management_(acpi_, parts.smi != nullptr),
      debug_console_(log_enabled(LogLevel::kInfo)),
      pvpanic_(parts.panicked),
      dma_(context.memory),
      firmware_config_(dma_),
      iommu_(parts.config.devices.iommu ? std::make_unique<IommuDomains>() : nullptr),
      config_ports_(root_bus_, reset_control_),
      hot_slots_(removals_),
      next_card_(pc::kFirstCard.device) {
    power_management_.on_smi(parts.smi);
}

// A controller goes before what is plugged into it, and unplugs it.
PcBoard::~PcBoard() {
    for (Device& each : devices_) each.device.reset();
}

void PcBoard::make_chipset() {
    if (parts_.firmware != nullptr) {
        rom_ = at_.memory.take_block(parts_.firmware->image_bytes());
        parts_.firmware->copy_image(rom_.host);
    }
    const GuestMemory::Range low = at_.memory.ranges().front();
    mch_ = std::make_unique<Mch82G33>(
        attachment(pc::kHostBridge, 0), root_bus_,
        Mch82G33::Config{.rom = rom_, .low_memory_end = low.end().value});
    root_bus_.add(pc::kHostBridge, mch_->function());
    lpc_ = std::make_unique<Ich9Lpc>(attachment(pc::kLpc, 0), power_management_, pirqs_);
    root_bus_.add(pc::kLpc, lpc_->function());
    add_root_ports();
}

void PcBoard::add_root_ports() {
    for (unsigned i = 0; i < pc::kRootPorts; ++i) {
        const PciSlot slot{pc::kRootPortDevice, static_cast<uint8_t>(i)};
        root_ports_.push_back(
            std::make_unique<Ich9RootPort>(attachment(slot, Ich9RootPort::pin(i)), i));
        root_bus_.add_bridge(slot, root_ports_[i]->function(), root_ports_[i]->secondary());
        // The card's INTA# comes out at the device of the port [P2P 9.1].
        hot_slots_.add(*root_ports_[i], direct_attachment({pc::kRootPortDevice, 0}, 1));
    }
}

// The image ends at 4 GiB; variables lie below it, in flash.
Result<void> PcBoard::place_firmware() {
    GuestMemory& memory = at_.memory;
    memory.set_overlay(memory.take_overlay(), {.start = GuestPhys(pc::kIoApic),
                                               .size = pc::kFixedChipsEnd - pc::kIoApic,
                                               .kind = MemoryOverlay::Kind::kHole});
    if (parts_.firmware == nullptr) return {};
    const GuestPhys start(pc::kFourGib - rom_.size);
    memory.set_overlay(memory.take_overlay(), {.start = start,
                                               .size = rom_.size,
                                               .kind = MemoryOverlay::Kind::kReadOnly,
                                               .offset = rom_.offset});
    const uint64_t bytes = parts_.firmware->variables_bytes();
    if (bytes == 0) return {};
    const GuestMemory::Block block = memory.take_block(bytes);
    parts_.firmware->copy_variables(block.host);
    variable_store_ = parts_.firmware->make_store();
    const GuestPhys below = start - bytes;
    variables_ = std::make_unique<FlashMemory>(
        memory, below, block, variable_store_.get(),
        parts_.config.boot.secure ? parts_.in_management_mode : nullptr);
    return at_.memory_space.add("flash", below.value, bytes, *variables_);
}

Result<void> PcBoard::map_chips() {
    IoSpace& ports = at_.ports;
    TRY(ports.add("dma low", pc::kDmaLow, 16, isa_dma_.low_ports()));
    TRY(ports.add("dma high", pc::kDmaHigh, 32, isa_dma_.high_ports()));
    TRY(ports.add("dma pages", pc::kDmaPages, IsaDma::kPagePorts, isa_dma_.pages()));
    TRY(ports.add("pic master", pc::kPicMaster, 2, pics_.master_ports()));
    TRY(ports.add("pic slave", pc::kPicSlave, 2, pics_.slave_ports()));
    TRY(ports.add("pic elcr", pc::kPicElcr, 2, pics_.elcr_ports()));
    TRY(ports.add("pit", pc::kPit, 4, timer_.ports()));
    TRY(ports.add("port b", pc::kPortB, 1, timer_.port_b()));
    TRY(ports.add("keyboard data", pc::kKeyboardData, 1, keyboard_.data_port()));
    TRY(ports.add("keyboard command", pc::kKeyboardCommand, 1, keyboard_.command_port()));
    TRY(ports.add("rtc", pc::kRtc, 2, rtc_.ports()));
    TRY(ports.add("post code", pc::kPostCode, 1, post_code_));
    TRY(ports.add("port a", pc::kPortA, 1, port_a_));
    TRY(ports.add("apm", pc::kApm, 2, power_management_.apm_ports()));
    TRY(ports.add("debug console", pc::kDebugConsole, 1, debug_console_));
    TRY(ports.add("pvpanic", pc::kPvpanic, 1, pvpanic_));
    TRY(ports.add("firmware configuration", pc::kFirmwareConfig, fw_cfg::kPorts, firmware_config_));
    TRY(ports.add("pci configuration", pc::kPciConfig, pci::mechanism1::kPorts, config_ports_));
    IoSpace& memory = at_.memory_space;
    TRY(memory.add("shadow", pc::kShadowStart, pc::kShadowBytes, mch_->shadow_writes()));
    TRY(memory.add("hpet", pc::kHpet, hpet::kWindowBytes, event_timers_));
    return memory.add("io apic", pc::kIoApic, IoApic::kWindowBytes, io_apic_);
}

Result<void> PcBoard::add_serial_ports(std::span<CharacterBackend* const> backends) {
    constexpr uint64_t kRegisters = 8;
    for (unsigned i = 0; i < backends.size() && i < std::size(pc::kComPorts); ++i) {
        if (backends[i] == nullptr) continue;
        const pc::ComPort& com = pc::kComPorts[i];
        auto port = std::make_unique<SerialPort>(at_.clock, router_.isa(com.irq), *backends[i]);
        TRY(at_.ports.add(fmt::format("com{}", i + 1), com.port, kRegisters, *port));
        serial_ports_.push_back({i, std::move(port)});
    }
    return {};
}

PciAttachment PcBoard::attachment(PciSlot slot, unsigned pin) {
    PciAttachment place = direct_attachment(slot, pin);
    if (iommu_ != nullptr) place.translation = &iommu_->add_endpoint(slot.devfn());
    return place;
}

PciAttachment PcBoard::direct_attachment(PciSlot slot, unsigned pin) {
    InterruptLine& line = pin == 0 ? no_line() : pirqs_.input(slot, pin);
    return {.ports = at_.ports,
            .memory_space = at_.memory_space,
            .memory = at_.memory,
            .intx = line,
            .msi = at_.apic_bus,
            .intx_pin = static_cast<uint8_t>(pin)};
}

Result<PciSlot> PcBoard::take_card_slot() {
    if (next_card_ == pc::kXhci.device) ++next_card_;
    if (next_card_ > pc::kLastCard) {
        return Error(fmt::format("the PC has {} slots for cards (virtio and NVMe disks, networks), "
                                 "and all are taken",
                                 pc::kLastCard - pc::kFirstCard.device));
    }
    return PciSlot{static_cast<uint8_t>(next_card_++), 0};
}

void PcBoard::add_boot_path(BootConfig::Device kind, std::string path) {
    boot_paths_.push_back({kind, std::move(path)});
}

void PcBoard::reset() {
    for (auto device = devices_.rbegin(); device != devices_.rend(); ++device) device->reset();
    hot_slots_.reset();
    lpc_->reset();
    mch_->reset();
    config_ports_.reset();
    if (variables_ != nullptr) variables_->reset();
    for (const Com& com : serial_ports_) com.port->reset();
    firmware_config_.reset();
    power_management_.reset();
    acpi_.reset();
    isa_dma_.reset();
    reset_control_.reset();
    port_a_.reset();
    keyboard_.reset();
    rtc_.reset();
    timer_.reset();
    event_timers_.reset();
    io_apic_.reset();
    pics_.reset();
}

}  // namespace mynah
