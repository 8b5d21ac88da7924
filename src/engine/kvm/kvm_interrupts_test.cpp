// The kernel's local APICs, doorbells and routes, and processors that come and go, on a kernel that
// a script plays.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "engine/kvm/kvm_fixture_test.h"
#include "host/event_fd.h"

namespace mynah {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr uint64_t kAddress = 0xfee01000;

class KvmApicTest : public KvmTest {
  protected:
    KvmApicTest() {
        options_.kernel_apics = true;
        kernel_.on(KVM_SIGNAL_MSI, [this](int, uintptr_t argument) {
            const auto& message = *reinterpret_cast<const kvm_msi*>(argument);
            sent_.push_back(message.data);
            return taken_;
        });
        kernel_.on(kvm::kSetGsiRouting, [this](int, uintptr_t argument) {
            const auto* const words = reinterpret_cast<const uint32_t*>(argument);
            const auto* entry = reinterpret_cast<const kvm_irq_routing_entry*>(words + 2);
            routes_.clear();
            for (uint32_t i = 0; i < words[0]; ++i, ++entry) {
                EXPECT_EQ(entry->type, unsigned{KVM_IRQ_ROUTING_MSI});
                routes_[entry->gsi] = entry->u.msi.data;
            }
            return routing_;
        });
        kernel_.on(KVM_IRQFD, [this](int, uintptr_t argument) {
            const auto& irq = *reinterpret_cast<const kvm_irqfd*>(argument);
            if ((irq.flags & KVM_IRQFD_FLAG_DEASSIGN) != 0)
                return static_cast<int>(fds_.erase(irq.gsi)) - 1;
            if (irqfd_ < 0) return irqfd_;
            fds_[irq.gsi] = static_cast<int>(irq.fd);
            return 0;
        });
        kernel_.on(KVM_SET_LAPIC, [this](int, uintptr_t argument) {
            std::memcpy(&page_, reinterpret_cast<const void*>(argument), sizeof page_);
            return 0;
        });
        kernel_.on(KVM_GET_LAPIC, [this](int, uintptr_t argument) {
            std::memcpy(reinterpret_cast<void*>(argument), &page_, sizeof page_);
            return 0;
        });
        kernel_.on(KVM_SET_MP_STATE, [this](int, uintptr_t argument) {
            activity_ = reinterpret_cast<const kvm_mp_state*>(argument)->mp_state;
            return 0;
        });
        kernel_.on(KVM_GET_MP_STATE, [this](int, uintptr_t argument) {
            reinterpret_cast<kvm_mp_state*>(argument)->mp_state = activity_;
            return 0;
        });
        kernel_.on(KVM_GET_VCPU_EVENTS, [this](int, uintptr_t argument) {
            *reinterpret_cast<kvm_vcpu_events*>(argument) = events_;
            return 0;
        });
        kernel_.on(KVM_SET_VCPU_EVENTS, [this](int, uintptr_t argument) {
            events_ = *reinterpret_cast<const kvm_vcpu_events*>(argument);
            return 0;
        });
    }
    uint64_t uses(const std::string& what) { return engine_->uses().at(what); }
    // Ends a run that does not halt by itself.
    Kernel::Step kicks() {
        return [this](kvm_run& run) {
            signals_.raise(CpuSignals::kKick);
            run.exit_reason = KVM_EXIT_INTR;
            return 0;
        };
    }

    std::vector<uint32_t> sent_;
    std::map<uint32_t, uint32_t> routes_;  // data by GSI
    std::map<uint32_t, int> fds_;          // by GSI
    int taken_ = 1, routing_ = 0, irqfd_ = 0;
    kvm_lapic_state page_{};
    uint32_t activity_ = KVM_MP_STATE_RUNNABLE;
    kvm_vcpu_events events_{};
};

TEST_F(KvmApicTest, OnlyWhereTheKernelHasAllOfIt) {
    for (const long needed :
         {KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_MP_STATE, KVM_CAP_IRQ_ROUTING}) {
        Kernel kernel;
        kernel.missing = needed;
        auto engine = make_kvm(*memory_, cpuid_, options_, kernel).take_value();
        EXPECT_EQ(engine->apics(), nullptr) << needed;
        EXPECT_EQ(engine->uses().at("local APICs in the kernel"), 0u);
    }
    make();
    EXPECT_NE(engine_->apics(), nullptr);
    EXPECT_EQ(uses("local APICs in the kernel"), 1u);
    EXPECT_TRUE(vcpu_->has_apic());
    options_.kernel_apics = false;
    Kernel kernel;
    EXPECT_EQ(make_kvm(*memory_, cpuid_, options_, kernel).take_value()->apics(), nullptr);
}

TEST_F(KvmApicTest, WhatComesOftenGetsAnEventfd) {
    make();
    EngineApics& apics = *engine_->apics();
    for (int i = 0; i < 7; ++i) EXPECT_TRUE(apics.send(kAddress, 0x41));
    EXPECT_TRUE(fds_.empty());
    EXPECT_EQ(sent_.size(), 7u);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(apics.send(kAddress, 0x41));
    EXPECT_EQ(sent_.size(), 7u) << "by the eventfd from here on";
    ASSERT_EQ(fds_.size(), 1u);
    EXPECT_EQ(uses("irqfds"), 1u);
    EXPECT_EQ(uses("irqfds: signals"), 3u);
    EXPECT_THAT(routes_, ElementsAre(Pair(fds_.begin()->first, 0x41u)));
    uint64_t count = 0;
    EXPECT_EQ(::read(fds_.begin()->second, &count, sizeof count), 8);
    EXPECT_EQ(count, 3u);
}

TEST_F(KvmApicTest, LevelsAndStrangersGoTheirOwnWay) {
    make();
    EngineApics& apics = *engine_->apics();
    for (int i = 0; i < 20; ++i) apics.send(kAddress, 0xc041);  // level, asserted
    EXPECT_TRUE(fds_.empty());
    taken_ = 0;
    EXPECT_FALSE(apics.send(kAddress, 0xc041)) << "nobody took it";
    // However many messages there are, so many have an eventfd and the rest goes without.
    taken_ = 1;
    for (int round = 0; round < 20; ++round) {
        for (uint32_t i = 0; i < 1000; ++i)
            EXPECT_TRUE(apics.send(kAddress + (i << 12), 0x30 + i % 64));
    }
    EXPECT_LE(fds_.size(), 128u);
    EXPECT_EQ(uses("irqfds"), fds_.size());
}

TEST_F(KvmApicTest, AKernelThatRefusesAnEventfdGetsMessages) {
    make();
    for (int* const refusal : {&irqfd_, &routing_}) {
        sent_.clear();
        *refusal = -ENOSPC;
        const uint64_t address = kAddress + (refusal == &irqfd_ ? 0 : 0x1000);
        for (int i = 0; i < 20; ++i) EXPECT_TRUE(engine_->apics()->send(address, 0x41));
        EXPECT_EQ(sent_.size(), 20u);
        EXPECT_EQ(uses("irqfds"), 0u);
        *refusal = 0;
    }
}

TEST_F(KvmApicTest, TheEndsOfLevelsComeOut) {
    make();
    engine_->apics()->set_route(5, kAddress, 0xc055);
    engine_->apics()->set_route(EngineApics::kPins, kAddress, 0xc056);
    EXPECT_THAT(routes_, ElementsAre(Pair(5u, 0xc055u)));
    const unsigned before = kernel_.count(kvm::kSetGsiRouting);
    engine_->apics()->set_route(5, kAddress, 0xc055);
    EXPECT_EQ(kernel_.count(kvm::kSetGsiRouting), before) << "nothing new";
    EXPECT_EQ(run({[](kvm_run& run) {
                       run.exit_reason = KVM_EXIT_IOAPIC_EOI;
                       run.eoi.vector = 0x55;
                       return 0;
                   },
                   kicks()}),
              VcpuExit::kKicked);
    EXPECT_THAT(ports_.ended, ElementsAre(0x55));
}

TEST_F(KvmApicTest, TheApicGoesInAndComesOut) {
    make();
    ports_.apic.base = 0xfee00900;
    for (unsigned i = 0; i < ApicImage::kRegisters; ++i) ports_.apic.registers[i] = i << 8 | i;
    ports_.apic.unfinished = 0x61;
    vcpu_->state().waiting_for_startup = true;
    vcpu_->state_changed();
    vcpu_->apic_changed();
    uint32_t svr = 0;
    std::memcpy(&svr, page_.regs + 0xf0, sizeof svr);
    EXPECT_EQ(svr, 0x0f0fu);
    EXPECT_EQ(activity_, unsigned{KVM_MP_STATE_INIT_RECEIVED});
    EXPECT_EQ(events_.interrupt.injected, 1);
    EXPECT_EQ(events_.interrupt.nr, 0x61);
    // It was started and halts; the vector is still on its way, and an NMI.
    EXPECT_EQ(run({kicks()}), VcpuExit::kKicked);
    activity_ = KVM_MP_STATE_HALTED;
    events_.nmi.pending = 1;
    EXPECT_TRUE(vcpu_->state().halted);
    EXPECT_FALSE(vcpu_->state().waiting_for_startup);
    vcpu_->leave();
    ASSERT_TRUE(ports_.returned);
    EXPECT_EQ(ports_.returned->registers, ports_.apic.registers);
    EXPECT_EQ(ports_.returned->unfinished, 0x61);
    EXPECT_NE(signals_.pending() & CpuSignals::kNmi, 0u);
}

TEST_F(KvmApicTest, AnExternalInterruptThatWaitsIsNotLost) {
    make();
    vcpu_->apic_changed();
    signals_.raise(CpuSignals::kInterrupt);
    const auto window = [](kvm_run& run) {
        run.exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
        run.ready_for_interrupt_injection = 1;
        return 0;
    };
    EXPECT_EQ(run({window, kicks()}), VcpuExit::kKicked);
    EXPECT_THAT(kernel_.windows, ElementsAre(true, false)) << "only the kernel knows when";
    EXPECT_THAT(kernel_.injected, ElementsAre(0x31u));
    kernel_.on(KVM_INTERRUPT, -EEXIST);
    vcpu_->leave();
    ASSERT_TRUE(ports_.returned);
    EXPECT_EQ(ports_.returned->unfinished, 0x31);
}

TEST_F(KvmApicTest, AnNmiOnItsWayDoesNotBlockItself) {
    make();
    EXPECT_EQ(run({kicks()}), VcpuExit::kKicked);
    events_.nmi.injected = 1;
    events_.nmi.masked = 1;
    vcpu_->leave();
    EXPECT_FALSE(vcpu_->state().nmi_blocked);
    EXPECT_NE(signals_.pending() & CpuSignals::kNmi, 0u);
}

TEST_F(KvmApicTest, AnNmiThatIsHandledBlocksTheNext) {
    make();
    EXPECT_EQ(run({kicks()}), VcpuExit::kKicked);
    events_.nmi.masked = 1;
    vcpu_->leave();
    EXPECT_TRUE(vcpu_->state().nmi_blocked);
    EXPECT_EQ(signals_.pending() & CpuSignals::kNmi, 0u);
}

TEST_F(KvmApicTest, AResetForgetsWhatWasOnItsWay) {
    make();
    EXPECT_EQ(run({kicks()}), VcpuExit::kKicked);
    events_.interrupt.injected = 1;
    events_.interrupt.nr = 0x77;
    events_.nmi.pending = 1;
    vcpu_->state() = reset_state();
    vcpu_->state_changed();
    vcpu_->apic_changed();
    EXPECT_EQ(events_.interrupt.injected, 0);
    EXPECT_EQ(events_.nmi.pending, 0);
    EXPECT_EQ(activity_, unsigned{KVM_MP_STATE_RUNNABLE});
}

TEST_F(KvmApicTest, AnApicThatIsRefusedEndsTheMachine) {
    make();
    kernel_.on(KVM_SET_LAPIC, -EINVAL);
    vcpu_->apic_changed();
    EXPECT_EQ(run({}), VcpuExit::kEngineError);
    kernel_.on(KVM_GET_LAPIC, -EINVAL);
    vcpu_->leave();
    EXPECT_FALSE(ports_.returned);
}

// With the machine's local APIC: what was acknowledged and not delivered.
TEST_F(KvmTest, AnInterruptOnItsWayIsGivenBack) {
    make();
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    kernel_.on(KVM_GET_VCPU_EVENTS, [](int, uintptr_t argument) {
        auto& events = *reinterpret_cast<kvm_vcpu_events*>(argument);
        events.interrupt.injected = 1;
        events.interrupt.nr = 0x42;
        events.smi.pending = 1;
        return 0;
    });
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    vcpu_->leave();
    EXPECT_THAT(ports_.given_back, ElementsAre(0x42));
    EXPECT_NE(signals_.pending() & CpuSignals::kSmi, 0u);
}

TEST_F(KvmTest, Doorbells) {
    std::vector<kvm_ioeventfd> told;
    int answer = 0;
    kernel_.on(KVM_IOEVENTFD, [&](int, uintptr_t argument) {
        told.push_back(*reinterpret_cast<const kvm_ioeventfd*>(argument));
        return answer;
    });
    make();
    const Engine::BellPlace memory{.address = 0xe0003004, .value = std::nullopt};
    const Engine::BellPlace port{.port = true, .address = 0xc010, .size = 2, .value = 1};
    EXPECT_TRUE(engine_->add_bell(memory, 7));
    EXPECT_TRUE(engine_->add_bell(port, 8));
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[0].addr, 0xe0003004u);
    EXPECT_EQ(told[0].len, 0u);
    EXPECT_EQ(told[0].flags, 0u);
    EXPECT_EQ(told[1].flags, unsigned{KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH});
    EXPECT_EQ(told[1].datamatch, 1u);
    EXPECT_EQ(told[1].fd, 8);
    EXPECT_EQ(engine_->uses().at("ioeventfds"), 2u);
    engine_->remove_bell(memory, 7);
    EXPECT_NE(told[2].flags & KVM_IOEVENTFD_FLAG_DEASSIGN, 0u);
    EXPECT_EQ(engine_->uses().at("ioeventfds"), 1u);
    answer = -EEXIST;
    EXPECT_FALSE(engine_->add_bell(memory, 9)) << "another one is there";
    engine_->remove_bell(port, 8);
    EXPECT_EQ(engine_->uses().at("ioeventfds"), 1u);
    // A kernel that takes only writes of one size.
    Kernel old, none;
    old.missing = KVM_CAP_IOEVENTFD_ANY_LENGTH;
    auto engine = make_kvm(*memory_, cpuid_, options_, old).take_value();
    EXPECT_FALSE(engine->add_bell(memory, 7));
    EXPECT_TRUE(engine->add_bell(port, 7));
    none.missing = KVM_CAP_IOEVENTFD;
    engine = make_kvm(*memory_, cpuid_, options_, none).take_value();
    EXPECT_FALSE(engine->add_bell(port, 7));
}

TEST_F(KvmTest, FeaturesThatAreLackingHaveNames) {
    kernel_.on(kvm::kGetSupportedCpuid, [](int, uintptr_t argument) {
        auto& header = *reinterpret_cast<kvm::CpuidHeader*>(argument);
        auto& entry = *reinterpret_cast<kvm_cpuid_entry2*>(&header + 1);
        entry = {};
        entry.function = 1;
        entry.ecx = ~(1u << 12);  // FMA
        entry.edx = ~0u;
        header.entries = 1;
        return 0;
    });
    make();
    if (!cpuid_.has("fma")) GTEST_SKIP() << "this host's processor has no FMA";
    EXPECT_THAT(engine_->missing_features(), ElementsAre("fma"));
}

}  // namespace
}  // namespace mynah
