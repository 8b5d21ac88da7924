#include "machine/boards/micro_board.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "device/chipset/acpi_registers.h"
#include "firmware/acpi_tables.h"
#include "firmware/bios_data_area.h"
#include "machine/boards/micro_layout.h"

namespace mynah {
namespace {

// The host's UTC, for the real-time clock to start from.
timespec host_wall_time() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

}  // namespace

Result<std::unique_ptr<MicroBoard>> MicroBoard::create(
    const BoardContext& context, std::span<CharacterBackend* const> serial_backends,
    std::vector<VirtioPlug> virtio_devices) {
    std::unique_ptr<MicroBoard> board(new MicroBoard(context));
    TRY(board->map_chips(context));
    TRY(board->add_serial_ports(context, serial_backends));
    for (VirtioPlug& plug : virtio_devices) {
        if (plug.keys != nullptr) board->input_.add(*plug.keys);
        if (plug.pointer != nullptr) board->input_.add(*plug.pointer);
        if (plug.display != nullptr) board->screen_.emplace(*plug.display);
        TRY(board->virtio_.add(std::move(plug.device)));
    }
    board->write_cmos(context.memory.size());
    return board;
}

MicroBoard::MicroBoard(const BoardContext& context) : MicroBoard(context, host_wall_time()) {}

MicroBoard::MicroBoard(const BoardContext& context, const timespec& now)
    : memory_(context.memory),
      pics_(context.pics),
      io_apic_(context.apic_bus, context.clock),
      router_(pics_, io_apic_),
      timer_(context.clock, router_.isa(0)),
      rtc_(context.clock, router_.isa(micro::kRtcIrq), now.tv_sec,
           static_cast<uint32_t>(now.tv_nsec)),
      keyboard_(router_.isa(micro::kKeyboardIrq), router_.isa(micro::kMouseIrq), a20_,
                context.power),
      port_a_(a20_, context.power),
      reset_control_(context.power),
      power_management_(context.clock, router_.isa(micro::kSciIrq), context.power),
      dma_(context.memory),
      virtio_(context.memory_space, router_, dma_, context.record) {}

Result<void> MicroBoard::map_chips(const BoardContext& context) {
    IoSpace& ports = context.ports;
    TRY(ports.add("pic master", micro::kPicMaster, 2, pics_.master_ports()));
    TRY(ports.add("pic slave", micro::kPicSlave, 2, pics_.slave_ports()));
    TRY(ports.add("pic elcr", micro::kPicElcr, 2, pics_.elcr_ports()));
    TRY(ports.add("pit", micro::kPit, 4, timer_.ports()));
    TRY(ports.add("port b", micro::kPortB, 1, timer_.port_b()));
    TRY(ports.add("keyboard data", micro::kKeyboardData, 1, keyboard_.data_port()));
    TRY(ports.add("keyboard command", micro::kKeyboardCommand, 1, keyboard_.command_port()));
    TRY(ports.add("rtc", micro::kRtc, 2, rtc_.ports()));
    TRY(ports.add("post code", micro::kPostCode, 1, post_code_));
    TRY(ports.add("port a", micro::kPortA, 1, port_a_));
    TRY(ports.add("reset control", micro::kResetControl, 1, reset_control_));
    TRY(ports.add("acpi", micro::kPowerManagement, acpi::kBlockBytes, power_management_));
    return context.memory_space.add("io apic", micro::kIoApic, IoApic::kWindowBytes, io_apic_);
}

Result<void> MicroBoard::add_serial_ports(const BoardContext& context,
                                          std::span<CharacterBackend* const> backends) {
    constexpr uint64_t kRegisters = 8;
    for (unsigned i = 0; i < backends.size() && i < std::size(micro::kComPorts); ++i) {
        if (backends[i] == nullptr) continue;
        const micro::ComPort& com = micro::kComPorts[i];
        auto port = std::make_unique<SerialPort>(context.clock, router_.isa(com.irq), *backends[i]);
        TRY(context.ports.add(fmt::format("com{}", i + 1), com.port, kRegisters, *port));
        serial_ports_.push_back({i, std::move(port)});
    }
    return {};
}

// Memory sizes as PC firmware leaves them [RBIL CMOS 15h-18h, 30h-35h].
void MicroBoard::write_cmos(uint64_t memory_bytes) {
    constexpr uint64_t kBaseKib = 640, kKib = 1024, kExtendedLimit = 0xffff;
    const auto put16 = [this](uint8_t index, uint64_t value) {
        rtc_.set_memory(index, static_cast<uint8_t>(value));
        rtc_.set_memory(static_cast<uint8_t>(index + 1), static_cast<uint8_t>(value >> 8));
    };
    const uint64_t below_hole = std::min(memory_bytes, micro::kMmioHole);
    const uint64_t extended = std::min(below_hole / kKib - kKib, kExtendedLimit);
    put16(0x15, kBaseKib);
    put16(0x17, extended);
    put16(0x30, extended);
    constexpr uint64_t kAbove = uint64_t{16} << 20, kUnit = 64 * kKib;
    put16(0x34, below_hole > kAbove ? std::min((below_hole - kAbove) / kUnit, kExtendedLimit) : 0);
}

Result<void> MicroBoard::prepare(std::span<const uint32_t> apic_ids) {
    AcpiBoard acpi = describe();
    acpi.apic_ids.assign(apic_ids.begin(), apic_ids.end());
    TRY(write_acpi_tables(memory_, acpi));
    if (!write_bios_data_area(memory_)) return Error("--memory: too little");
    return {};
}

// The processors are left empty.
AcpiBoard MicroBoard::describe() const {
    AcpiBoard board;
    board.local_apic_address = micro::kLocalApic;
    board.io_apic_address = micro::kIoApic;
    board.timer_gsi = InterruptRouter::kTimerGsi;
    board.pm1_event_port = micro::kPowerManagement + acpi::kPm1Event;
    board.pm1_control_port = micro::kPowerManagement + acpi::kPm1Control;
    board.pm_timer_port = micro::kPowerManagement + acpi::kPmTimer;
    board.gpe0_port = micro::kPowerManagement + acpi::kGpe0;
    board.gpe0_bytes = acpi::kGpe0Bytes;
    board.sci_irq = micro::kSciIrq;
    board.reset_port = micro::kResetControl;
    board.reset_value = acpi::kResetValue;
    board.soft_off_type = acpi::kSleepTypeSoftOff;
    for (const Com& com : serial_ports_) {
        const micro::ComPort& where = micro::kComPorts[com.number];
        board.serial_ports.push_back({where.port, where.irq});
    }
    board.virtio_mmio = virtio_.describe();
    return board;
}

void MicroBoard::reset() {
    virtio_.reset();
    for (Com& com : serial_ports_) com.port->reset();
    power_management_.reset();
    reset_control_.reset();
    port_a_.reset();
    keyboard_.reset();
    rtc_.reset();
    timer_.reset();
    io_apic_.reset();
    pics_.reset();
}

}  // namespace mynah
