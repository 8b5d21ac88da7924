#pragma once

#include <cstdint>
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
};

}  // namespace mynah
