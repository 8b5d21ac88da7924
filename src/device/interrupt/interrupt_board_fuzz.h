#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "device/interrupt/interrupt_router.h"
#include "device/interrupt/local_apic.h"
#include "testing/byte_board.h"

namespace mynah::testing {

// All interrupt controllers of a PC with two processors, under a guest that does anything.
inline void drive_interrupt_controllers(std::span<const uint8_t> bytes) {
    class NoStartups final : public StartupSink {
     public:
        void startup(VcpuIndex, uint8_t) override {}
    };
    // The register page of one processor's APIC.
    class Page final : public IoHandler {
     public:
        explicit Page(LocalApic& apic) : apic_(apic) {}
        uint64_t read(uint64_t offset, unsigned size) override {
            return apic_.mmio_read(GuestPhys{apic::kDefaultBase + offset}, size);
        }
        void write(uint64_t offset, unsigned size, uint64_t value) override {
            apic_.mmio_write(GuestPhys{apic::kDefaultBase + offset}, size, value);
        }

     private:
        LocalApic& apic_;
    };

    // The guest's side of it is an action like all others.
    class Flag final : public SilentEoi {
     public:
        bool offer() override { return set = there; }
        bool withdraw() override { return !std::exchange(set, false); }
        bool there = false, set = false;
    };

    ByteBoard board;
    Flag flags[2];
    NoStartups startups;
    ApicBus bus(startups);
    PicPair pics(bus.lint0());
    IoApic io_apic(bus, board.clock());
    InterruptRouter router(pics, io_apic);
    CpuSignals signals[2];
    std::vector<std::unique_ptr<LocalApic>> apics;
    std::vector<std::unique_ptr<Page>> pages;
    for (uint32_t i = 0; i < 2; ++i) {
        LocalApic::Config config;
        config.vcpu = VcpuIndex{i};
        config.apic_id = i;
        config.timer_hz = 24'000'000;
        config.clock_ns_at_tsc = [](uint64_t tsc) { return tsc / 3; };
        config.external = &pics;
        apics.push_back(std::make_unique<LocalApic>(config, signals[i], bus, board.clock()));
        apics.back()->enter_virtual_wire_mode();
        pages.push_back(std::make_unique<Page>(*apics.back()));
        board.add(*pages.back(), apic::kPageBytes, 8);
        LocalApic& apic = *apics.back();
        Flag& flag = flags[i];
        apic.connect(flag);
        board.add([&apic, &flag](ByteSource& source) {
            apic.settle();
            flag.there = source.take(1) % 4 != 0;
        });
        board.add([&flag](ByteSource&) { flag.set = false; });
        board.add([&apic](ByteSource& source) { apic.acknowledge_interrupt(); (void)source; });
        board.add([&apic](ByteSource& source) {
            apic.read_msr(static_cast<uint32_t>(0x800 + source.take(1)));
        });
        board.add([&apic](ByteSource& source) {
            const auto index = static_cast<uint32_t>(0x800 + source.take(1));
            apic.write_msr(index, source.take(8));
        });
        board.add([&apic](ByteSource& source) {
            apic.write_msr(source.take(1) % 2 == 0 ? 0x1b : 0x6e0, source.take(6));
        });
        board.add([&apic](ByteSource& source) {
            apic.write_cr8(static_cast<uint8_t>(source.take(1) & 15));
        });
        board.add([&apic](ByteSource&) { apic.init(); });
        board.add([&apic](ByteSource&) { apic.tsc_changed(); });
    }
    board.add([&bus](ByteSource& source) {
        const uint64_t address = ApicBus::kMsiBase + source.take(3);
        bus.send({address, static_cast<uint32_t>(source.take(2))});
    });
    board.add(io_apic, IoApic::kWindowBytes, 8);
    board.add(pics.master_ports(), 2);
    board.add(pics.slave_ports(), 2);
    board.add(pics.elcr_ports(), 2);
    for (uint32_t gsi = 1; gsi < IoApic82093::kPins; ++gsi) board.add(router.gsi(Gsi{gsi}));
    board.add(bus.lint1());
    board.run(bytes);
}

}  // namespace mynah::testing
