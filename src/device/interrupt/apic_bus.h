#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/msi_sink.h"
#include "cpu/address.h"
#include "cpu/apic_image.h"
#include "device/interrupt/apic_message.h"

namespace mynah {

class LocalApic;

// Told that a processor was sent a start-up IPI. The vCPU decides whether it waits for one.
// Any thread (the sender's vCPU); no lock is held.
class StartupSink {
  public:
    virtual ~StartupSink() = default;
    // Execution is to start at vector << 12 in real mode.
    virtual void startup(VcpuIndex vcpu, uint8_t vector) = 0;
};

// Told of the end of a level-triggered interrupt. Any thread; no lock is held.
class EoiSink {
  public:
    virtual ~EoiSink() = default;
    virtual void end_of_interrupt(uint8_t vector) = 0;
    // Whose interrupts are to be ended in an engine: it is to be told of all routes now.
    virtual void tell_routes() {}
};

// As devices write it.
MsiMessage to_msi(const ApicMessage& message);

// What connects local APICs, I/O APICs and devices that send messages [SDM 3A 10.6.2, 10.11].
// Parts are attached while the board is built; everything else is called from any thread and
// takes no lock.
class ApicBus final : public MsiSink {
  public:
    explicit ApicBus(StartupSink& startup);
    ~ApicBus() override;

    // In the order of VcpuIndex; APIC ids must differ. The APIC must outlive every message.
    void attach(LocalApic& apic);
    void attach(EoiSink& io_apic) { eoi_sinks_.push_back(&io_apic); }

    // The local APICs are an engine's from here on; null: they are those that are attached. No
    // processor runs; nothing is told to an engine that goes after this returns. From hold() to
    // use() messages are kept.
    void hold();
    void use(EngineApics* engine);
    // What a pin of an I/O APIC sends for a level, where engines must know.
    void set_route(unsigned pin, const ApicMessage& message);
    bool has_engine() const { return engine_.load(std::memory_order_relaxed) != nullptr; }

    // A message as a device writes it [SDM 3A 10.11]; what is not addressed to FEExxxxxh is
    // dropped.
    void send(MsiMessage message) override;
    // To every local APIC the destination names, or to one of them (lowest priority). False: nobody
    // took it.
    bool deliver(const ApicMessage& message);
    // The interrupt command's shorthands; sender is not null.
    void deliver_to_all(const ApicMessage& message, const LocalApic* except);
    void end_of_interrupt(uint8_t vector);

    // A wire to the local interrupt pin of every APIC: 0 takes the PIC's INTR, 1 takes NMI.
    InterruptLine& lint0() { return lint0_; }
    InterruptLine& lint1() { return lint1_; }

    static constexpr uint64_t kMsiBase = 0xfee00000, kMsiSize = 0x100000;

  private:
    class Lint final : public InterruptLine {
      public:
        Lint(ApicBus& bus, unsigned pin) : bus_(bus), pin_(pin) {}
        void set(bool level) override;

      private:
        ApicBus& bus_;
        unsigned pin_;
    };

    bool deliver_lowest_priority(const ApicMessage& message);
    bool accept(LocalApic& apic, const ApicMessage& message);
    // Where messages wait while the local APICs change hands.
    class Held final : public EngineApics {
      public:
        bool send(uint64_t address, uint32_t data) override EXCLUDES(mutex_);
        void set_route(unsigned, uint64_t, uint32_t) override {}
        std::vector<MsiMessage> take() EXCLUDES(mutex_);

      private:
        Mutex mutex_;
        std::vector<MsiMessage> messages_ GUARDED_BY(mutex_);  // each once
    };
    void change_engine(EngineApics* engine);
    EngineApics* begin_use();
    void end_use() { users_.fetch_sub(1, std::memory_order_release); }

    StartupSink& startup_;
    std::vector<LocalApic*> apics_;
    std::vector<LocalApic*> by_id_;  // index: APIC id, null where there is none
    std::vector<EoiSink*> eoi_sinks_;
    Held held_;
    // Who sends at the moment is counted, so that an engine can go.
    std::atomic<EngineApics*> engine_{nullptr};
    std::atomic<uint32_t> users_{0};
    std::atomic<uint32_t> next_arbiter_{0};  // where lowest-priority arbitration starts
    Lint lint0_{*this, 0}, lint1_{*this, 1};
};

}  // namespace mynah
