#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "device/interrupt/io_apic.h"
#include "device/interrupt/local_apic.h"
#include "spec/x86/msr.h"
#include "testing/manual_clock.h"

namespace mynah::testing {

namespace msr = x86::msr;
using apic::Register;

class Startups final : public StartupSink {
 public:
    void startup(VcpuIndex vcpu, uint8_t vector) override { got.emplace_back(vcpu.value, vector); }
    std::vector<std::pair<uint32_t, uint8_t>> got;
};

class FixedPic final : public ExternalInterrupts {
 public:
    uint8_t acknowledge() override {
        ++acknowledged;
        if (line != nullptr) line->set(false);
        return 0x30;
    }
    InterruptLine* line = nullptr;
    int acknowledged = 0;
};

// Four processors' local APICs on one bus, with a manual clock whose nanosecond is a count.
class LocalApicTest : public ::testing::Test {
 protected:
    static constexpr uint64_t kHz = 1'000'000'000;  // a count is a nanosecond

    LocalApicTest() {
        for (uint32_t i = 0; i < 4; ++i) {
            signals.push_back(std::make_unique<CpuSignals>());
            LocalApic::Config config;
            config.vcpu = VcpuIndex{i};
            config.apic_id = i;
            config.bootstrap = i == 0;
            config.timer_hz = kHz;
            config.clock_ns_at_tsc = [this](uint64_t tsc) { return tsc / 2 + tsc_shift; };
            config.external = &pic;
            apics.push_back(std::make_unique<LocalApic>(config, *signals[i], bus, clock));
        }
        pic.line = &bus.lint0();
    }

    uint32_t read(unsigned cpu, Register reg) {
        return static_cast<uint32_t>(apics[cpu]->mmio_read(address(reg), 4));
    }
    void write(unsigned cpu, Register reg, uint32_t value) {
        apics[cpu]->mmio_write(address(reg), 4, value);
    }
    static GuestPhys address(Register reg) {
        return GuestPhys{apic::kDefaultBase + static_cast<uint64_t>(reg) * 16};
    }
    void enable_all() {
        for (unsigned i = 0; i < 4; ++i) write(i, Register::kSvr, 0x1ff);
    }
    void enable_x2apic(unsigned cpu) {
        const uint64_t base = *apics[cpu]->read_msr(msr::kApicBase);
        ASSERT_TRUE(apics[cpu]->write_msr(msr::kApicBase, base | msr::kApicBaseExtd));
    }
    bool write_x2(unsigned cpu, Register reg, uint64_t value) {
        return apics[cpu]->write_msr(msr::kX2ApicFirst + static_cast<uint32_t>(reg), value);
    }
    std::optional<uint64_t> read_x2(unsigned cpu, Register reg) {
        return apics[cpu]->read_msr(msr::kX2ApicFirst + static_cast<uint32_t>(reg));
    }
    bool pending(unsigned cpu, uint32_t signal = CpuSignals::kInterrupt) {
        return (signals[cpu]->pending() & signal) != 0;
    }
    int take(unsigned cpu) {
        const auto vector = apics[cpu]->acknowledge_interrupt();
        return vector ? *vector : -1;
    }
    void send(uint32_t destination, uint8_t vector, bool logical = false,
              DeliveryMode mode = DeliveryMode::kFixed) {
        ApicMessage message;
        message.destination = destination;
        message.vector = vector;
        message.logical = logical;
        message.mode = mode;
        bus.deliver(message);
    }

    ManualClock clock;
    Startups startups;
    ApicBus bus{startups};
    FixedPic pic;
    uint64_t tsc_shift = 0;
    std::vector<std::unique_ptr<CpuSignals>> signals;
    std::vector<std::unique_ptr<LocalApic>> apics;
};

}  // namespace mynah::testing
