#pragma once

#include <memory>

#include "base/check.h"
#include "bus/pci/pci_bus.h"
#include "device/chipset/acpi_power_management.h"
#include "device/chipset/ich9_lpc.h"
#include "device/chipset/mch82g33.h"
#include "device/interrupt/apic_bus.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah::testing {

class CountedPower final : public PowerSink {
  public:
    void power_off() override { ++offs; }
    void reset() override { ++resets; }
    int offs = 0, resets = 0;
};

// Host bridge and LPC bridge with memory and interrupt controllers, and no processor.
struct Q35 {
    static constexpr uint64_t kLowMemory = uint64_t{32} << 20;
    static constexpr uint64_t kRom = 0x40000, kFlash = 0x4000;

    Q35() : Q35(own_clock) {}
    explicit Q35(ManualClock& the_clock) : clock(the_clock) {
        const GuestMemory::Range ram{GuestPhys(0), kLowMemory};
        memory = GuestMemory::create(std::span(&ram, 1), kRom + kFlash).take_value();
        flash = memory->take_block(kFlash);
        dma = std::make_unique<DmaView>(*memory);
        rom = memory->take_block(kRom);
        for (uint64_t i = 0; i < kRom; i += 0x1000) rom.host[i] = static_cast<std::byte>(i >> 12);
        mch = std::make_unique<Mch82G33>(attachment(), bus, Mch82G33::Config{rom, kLowMemory});
        bus.add({0, 0}, mch->function());
        lpc = std::make_unique<Ich9Lpc>(attachment(), power_management, pirqs);
        bus.add({31, 0}, lpc->function());
        CHECK(space.add("shadow", 0xc0000, 0x40000, mch->shadow_writes()));
        mch->finish();
    }
    PciAttachment attachment() { return {ports, space, *memory, no_line, msi}; }
    uint32_t read(PciFunction& function, unsigned offset, unsigned size) {
        return function.config_read(offset, size);
    }
    std::byte* at(uint64_t address, MemoryView view = MemoryView::kNormal) {
        return memory->host(GuestPhys(address), 1, view);
    }

    struct NoStartup final : StartupSink {
        void startup(VcpuIndex, uint8_t) override {}
    } startup;
    IoSpace ports, space;
    std::unique_ptr<GuestMemory> memory;
    GuestMemory::Block rom, flash;
    std::unique_ptr<DmaView> dma;
    RecordingLine no_line, intr, sci;
    RecordingMsiSink msi;
    ManualClock own_clock;
    ManualClock& clock;
    CountedPower power;
    ApicBus apic_bus{startup};
    PicPair pics{intr};
    IoApic io_apic{apic_bus, clock};
    InterruptRouter router{pics, io_apic};
    PirqRouter pirqs{router};
    AcpiPowerManagement acpi{clock, sci, power, AcpiFixedHardware::TimerWidth::k24, 0x21};
    Ich9PowerManagement power_management{acpi, true};
    PciBus bus;
    std::unique_ptr<Mch82G33> mch;
    std::unique_ptr<Ich9Lpc> lpc;
};

}  // namespace mynah::testing
