#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace mynah {

// What a board tells of itself to the ACPI tables. Addresses are guest-physical, ports are I/O.
struct AcpiBoard {
    std::vector<uint32_t> apic_ids;  // of the processors, in the order of VcpuIndex
    uint32_t local_apic_address = 0;
    uint32_t io_apic_address = 0;
    uint8_t io_apic_id = 0;
    uint32_t timer_gsi = 2;  // where ISA interrupt 0 arrives

    // Fixed hardware [ACPI 4.8.3].
    uint16_t pm1_event_port = 0, pm1_control_port = 0, pm_timer_port = 0;
    uint16_t gpe0_port = 0;
    uint8_t gpe0_bytes = 0;
    bool pm_timer_32bit = true;
    uint8_t sci_irq = 9;
    uint16_t reset_port = 0;
    uint8_t reset_value = 0;
    uint8_t soft_off_type = 0;  // SLP_TYPa of S5

    struct SerialPort {
        uint16_t port;
        uint8_t irq;
    };
    std::vector<SerialPort> serial_ports;

    struct VirtioMmio {
        uint32_t address;
        uint32_t size;
        uint32_t gsi;
        bool shared;  // the interrupt has other users
    };
    std::vector<VirtioMmio> virtio_mmio;

    bool keyboard = false;  // a keyboard is plugged into the 8042
    bool vga = false;       // a display answers to VGA's ports

    // A Q35 class PC: PCI with an ICH9 as device 31, and the chips behind it.
    struct Pci {
        uint64_t ecam_base = 0;
        uint16_t last_port = 0xffff;
        struct Window {
            uint64_t first, last;
        };
        std::vector<Window> windows32;
        std::optional<Window> window64;
        // Wiring of interrupt pins, 1 (INTA#) to 4, to PIRQs: 0 (A) to 7.
        unsigned (*pirq)(unsigned device, unsigned pin) = nullptr;
        uint32_t first_pirq_gsi = 16;
    };
    std::optional<Pci> pci;
    uint32_t hpet_address = 0;  // 0: none
    uint64_t hpet_capabilities = 0;
    uint16_t firmware_config_port = 0, firmware_config_ports = 0;
    uint16_t panic_port = 0;
    // The PCI function that is a virtio IOMMU, for all others of bus 0; its endpoints have the
    // numbers of these.
    std::optional<uint16_t> iommu_bdf;
    uint16_t pm_ports = 0;  // how many there are from pm1_event_port on, for PCI boards
};

}  // namespace mynah
