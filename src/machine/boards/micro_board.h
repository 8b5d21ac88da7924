#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/character/character_backend.h"
#include "backend/display/input_router.h"
#include "backend/display/screen.h"
#include "base/result.h"
#include "device/chipset/a20_gate.h"
#include "device/chipset/acpi_power_management.h"
#include "device/chipset/post_code_port.h"
#include "device/chipset/reset_control.h"
#include "device/input/keyboard_controller.h"
#include "device/interrupt/interrupt_router.h"
#include "device/interrupt/io_apic.h"
#include "device/interrupt/pic_pair.h"
#include "device/serial/serial_port.h"
#include "device/timer/interval_timer.h"
#include "device/timer/real_time_clock.h"
#include "firmware/acpi_board.h"
#include "machine/boards/board.h"
#include "machine/boards/virtio_slots.h"
#include "machine/virtio_plug.h"
#include "memory/dma_view.h"

namespace mynah {

// The board `--machine micro`: the chips that every PC kernel expects, no firmware, no PCI, devices
// on virtio-mmio. The processors with their local APICs are the machine's.
class MicroBoard final : public Board {
  public:
    // A backend for each serial port, COM1 first; null: the port is not there. All outlive the
    // board. virtio_devices: in the order of their slots.
    static Result<std::unique_ptr<MicroBoard>> create(
        const BoardContext& context, std::span<CharacterBackend* const> serial_backends,
        std::vector<VirtioPlug> virtio_devices);

    Result<void> prepare(std::span<const uint32_t> apic_ids) override;
    void reset() override;
    void press_power_button() override { power_management_.press_power_button(); }
    Screen* screen() override { return screen_ ? &*screen_ : nullptr; }
    InputSink* input() override { return screen_ ? &input_ : nullptr; }

  private:
    explicit MicroBoard(const BoardContext& context);
    MicroBoard(const BoardContext& context, const timespec& now);
    Result<void> map_chips(const BoardContext& context);
    Result<void> add_serial_ports(const BoardContext& context,
                                  std::span<CharacterBackend* const> backends);
    void write_cmos(uint64_t memory_bytes);
    AcpiBoard describe() const;

    GuestMemory& memory_;
    PicPair& pics_;
    IoApic io_apic_;
    InterruptRouter router_;
    IntervalTimer timer_;
    RealTimeClock rtc_;
    A20Gate a20_;
    KeyboardController keyboard_;
    SystemControlPortA port_a_;
    PostCodePort post_code_;
    ResetControl reset_control_;
    AcpiPowerManagement power_management_;
    struct Com {
        unsigned number;  // from 0
        std::unique_ptr<SerialPort> port;
    };
    std::vector<Com> serial_ports_;
    DmaView dma_;
    VirtioSlots virtio_;
    InputRouter input_;  // to virtio devices only
    std::optional<Screen> screen_;
};

}  // namespace mynah
