#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "backend/character/character_backend.h"
#include "backend/display/input_router.h"
#include "backend/display/screen.h"
#include "backend/network/network_backend.h"
#include "base/worker_executor.h"
#include "cpu/cpuid_policy.h"
#include "device/chipset/a20_gate.h"
#include "device/chipset/acpi_power_management.h"
#include "device/chipset/debug_console.h"
#include "device/chipset/dma8237.h"
#include "device/chipset/ich9_lpc.h"
#include "device/chipset/ich9_power_management.h"
#include "device/chipset/ich9_root_port.h"
#include "device/chipset/mch82g33.h"
#include "device/chipset/pirq_router.h"
#include "device/chipset/post_code_port.h"
#include "device/chipset/pvpanic.h"
#include "device/chipset/reset_control.h"
#include "device/display/vga_adapter.h"
#include "device/firmware_config/firmware_config.h"
#include "device/firmware_config/flash_memory.h"
#include "device/input/keyboard_controller.h"
#include "device/interrupt/interrupt_router.h"
#include "device/interrupt/io_apic.h"
#include "device/serial/serial_port.h"
#include "device/storage/ahci_controller.h"
#include "device/timer/event_timers.h"
#include "device/timer/interval_timer.h"
#include "device/timer/real_time_clock.h"
#include "device/usb/usb_host_adapter.h"
#include "firmware/acpi_board.h"
#include "firmware/firmware_kernel.h"
#include "machine/boards/board.h"
#include "machine/boards/hot_slots.h"
#include "machine/boards/pc_firmware.h"
#include "machine/boards/vga_with_gpu.h"
#include "machine/machine_config.h"
#include "machine/virtio_devices.h"
#include "memory/dirty_log.h"
#include "paravirt/virtio/iommu/iommu_domains.h"
#include "paravirt/virtio/virtio_pci.h"

namespace mynah {

class Piix3Ide;

// What the PC board has beside the sockets every board has. All outlive it.
struct PcBoardParts {
    const MachineConfig& config;
    PcFirmware* firmware;                       // null: a kernel is entered directly
    const FirmwareKernel* kernel;               // that firmware starts; null: none
    std::span<BlockBackend* const> disks;       // as config.disks; null: a drive without a CD
    std::span<NetworkBackend* const> networks;  // as config.networks
    std::span<CharacterBackend* const> serial;  // COM1 first; null: the port is not there
    std::vector<VirtioPlug>* virtio;            // cards to add
    const CpuidPolicy& cpuid;                   // of the processors
    std::function<void()> smi;                  // to the processor that runs on the calling thread
    std::function<bool()> in_management_mode;   // that processor is
    std::function<void()> panicked;             // the guest says so
};

// The board `--machine pc`: a Q35 memory controller hub and an ICH9, with the chips every PC has,
// firmware in flash, and slots. Cards and the controllers of the ICH9 are added by the functions
// of pc_board_devices.cpp. Without firmware the board does what a BIOS would do to the chipset, and
// leaves the resources of PCI functions to the guest.
class PcBoard final : public Board {
  public:
    static Result<std::unique_ptr<PcBoard>> create(const BoardContext& context,
                                                   const PcBoardParts& parts);
    ~PcBoard() override;

    Result<void> prepare(std::span<const uint32_t> apic_ids) override;
    void reset() override;
    void press_power_button() override { acpi_.press_power_button(); }
    void insert_medium(size_t disk, BlockBackend& medium) override;
    bool eject_medium(size_t disk, bool force) override;
    Tray tray(size_t disk) override;
    Screen* screen() override { return screen_ ? &*screen_ : nullptr; }
    InputSink* input() override { return &input_; }
    HotSlots* hot_slots() override { return &hot_slots_; }

    // --- for devices, while the board is built ---
    // What a function in this slot of bus 0 is plugged into; pin: its interrupt pin, 0 for none.
    // With an IOMMU it reaches memory through it, as an endpoint with the function's number.
    void add_usb_boot_path(unsigned port);
    PciAttachment attachment(PciSlot slot, unsigned pin = 1);
    // The same past the IOMMU.
    PciAttachment direct_attachment(PciSlot slot, unsigned pin = 1);
    PciAttachment attachment(PciSlot slot, const VirtioConfig& config) {
        return config.iommu.value_or(true) ? attachment(slot) : direct_attachment(slot);
    }
    // A legacy driver knows nothing of IOMMUs.
    VirtioPci::Interface usual_interface(const VirtioConfig& config) const {
        return iommu_ != nullptr && config.iommu.value_or(true) ? VirtioPci::Interface::kModern
                                                                : VirtioPci::Interface::kTransitional;
    }
    PciBus& root_bus() { return root_bus_; }
    FirmwareConfig& firmware_config() { return firmware_config_; }
    // Keeps a device for as long as the board lives; `reset` is called at machine reset.
    template <typename Device>
    Device& own(std::unique_ptr<Device> device, std::function<void(Device&)> reset) {
        Device& reference = *device;
        devices_.push_back(
            {std::shared_ptr<void>(std::move(device)), [&reference, reset] { reset(reference); }});
        return reference;
    }
    // The next free slot for a card. Error: there is none.
    Result<PciSlot> take_card_slot();
    // Tells firmware what can be booted: its path in Open Firmware's words [fw_cfg bootorder].
    void add_boot_path(BootConfig::Device kind, std::string path);

  private:
    PcBoard(const BoardContext& context, const PcBoardParts& parts);
    PcBoard(const BoardContext& context, const PcBoardParts& parts, const timespec& now);

    void make_chipset();
    Result<void> place_firmware();
    Result<void> map_chips();
    Result<void> add_serial_ports(std::span<CharacterBackend* const> backends);
    // One function, and one file, for each family.
    Result<void> add_devices();
    Result<void> add_storage();
    Result<void> add_network();
    Result<void> add_virtio_devices();
    // Puts a card of bus 0 into its slot; the machine's record follows it.
    void add_card(PciSlot slot, VirtioCard& card);
    Result<void> add_iommu();
    Result<void> add_watchdog();
    Result<void> add_display();
    Result<void> add_vga_card(VirtioPlug* gpu);
    Result<std::optional<GuestMemory::Block>> load_video_bios(const char* path);
    Result<void> add_usb();
    bool is_xhci() const { return parts_.config.usb == UsbModel::kXhci; }
    void add_xhci();
    void add_ehci();
    Result<void> add_disk(size_t index);
    Result<void> add_network_card(size_t index);
    Result<void> add_sata_disk(size_t index);
    Result<void> add_ide_disk(size_t index);
    Result<void> add_nvme_disk(size_t index);
    Result<void> add_usb_disk(size_t index);
    Result<void> add_virtio_disk(size_t index);
    std::string disk_serial(size_t index) const;
    void add_root_ports();
    // pc_board_setup.cpp: what firmware is told, and what is done without it.
    void write_cmos(size_t processors);
    void write_boot_order();
    void fill_firmware_config(std::span<const uint32_t> apic_ids);
    void set_up_chipset();
    void offer_kernel();
    void offer_acpi_tables();
    AcpiBoard describe();
    AcpiBoard::Pci describe_pci();
    std::vector<std::byte> smbios_tables() const;
    Result<void> write_tables_without_firmware();

    const BoardContext at_;
    const PcBoardParts parts_;
    GuestMemory::Block rom_;  // the firmware's image; size 0: there is none
    PicPair& pics_;
    IoApic io_apic_;
    InterruptRouter router_;
    PirqRouter pirqs_;
    EventTimers event_timers_;
    IntervalTimer timer_;
    RealTimeClock rtc_;
    A20Gate a20_;
    KeyboardController keyboard_;
    SystemControlPortA port_a_;
    PostCodePort post_code_;
    ResetControl reset_control_;
    IsaDma isa_dma_;
    AcpiPowerManagement acpi_;
    Ich9PowerManagement power_management_;
    DebugConsole debug_console_;
    Pvpanic pvpanic_;
    DmaView dma_;
    FirmwareConfig firmware_config_;
    struct Com {
        unsigned number;  // from 0
        std::unique_ptr<SerialPort> port;
    };
    std::vector<Com> serial_ports_;

    std::unique_ptr<IommuDomains> iommu_;  // null: there is none
    std::optional<PciSlot> iommu_slot_;
    PciBus root_bus_;
    PciConfigPorts config_ports_;
    std::unique_ptr<FlashStore> variable_store_;
    std::unique_ptr<FlashMemory> variables_;
    std::unique_ptr<Mch82G33> mch_;
    std::unique_ptr<Ich9Lpc> lpc_;
    std::vector<std::unique_ptr<Ich9RootPort>> root_ports_;
    WorkerExecutor removals_;  // not the disks' worker, for which taking a card apart waits
    HotSlots hot_slots_;
    struct Device {
        std::shared_ptr<void> device;
        std::function<void()> reset;
    };
    std::vector<Device> devices_;
    unsigned next_card_;
    InputRouter input_;
    std::unique_ptr<DirtyLog> dirty_;
    std::unique_ptr<VgaAdapter> vga_;                // null: there is none
    std::unique_ptr<VgaWithGpu> vga_with_gpu_;  // null: it is only a VGA
    std::optional<Screen> screen_;
    AhciController* sata_ = nullptr;
    unsigned sata_ports_ = 0;
    Piix3Ide* ide_ = nullptr;
    unsigned ide_places_ = 0;
    struct CdPlace {
        DiskBus bus;
        unsigned place;  // the SATA port, or twice the channel plus the device
    };
    std::map<size_t, CdPlace> cd_places_;  // by the number of the disk
    UsbHostAdapter* usb_ = nullptr;  // null: the PC has no USB
    PciSlot usb_slot_;
    bool has_display_ = false;
    std::vector<uint32_t> apic_ids_;
    struct BootPath {
        BootConfig::Device kind;
        std::string path;
    };
    std::vector<BootPath> boot_paths_;
};

}  // namespace mynah
