#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "bus/silent_eoi.h"
#include "bus/vm_clock.h"
#include "cpu/address.h"
#include "cpu/apic_image.h"
#include "cpu/cpu_signals.h"
#include "device/interrupt/apic_bus.h"
#include "device/interrupt/apic_message.h"
#include "device/interrupt/apic_timer.h"
#include "device/interrupt/external_interrupts.h"
#include "device/interrupt/local_apic_registers.h"
#include "device/interrupt/vector_set.h"

namespace mynah {

// The local APIC of one processor, after [SDM 3A 10].
// Modelled: xAPIC and x2APIC mode and the moves between them, all registers, logical (flat,
// cluster, x2APIC) and physical destinations, shorthands, self-IPI, timer in three modes, ExtINT
// and NMI on the local pins, error register, EOI broadcast and its suppression.
// Left out: arbitration priority and remote read (read 0), moving the xAPIC id (writes are
// ignored), CMCI, the thermal and performance entries (never signalled).
//
// Threads: "own" functions are called on the vCPU's thread only. Interrupts arrive from any
// thread, without a lock, since this is the way of every IPI: what the sender must see is
// atomic. The timer has a lock, shared with the clock's thread.
class LocalApic {
 public:
    struct Config {
        VcpuIndex vcpu;
        uint32_t apic_id = 0;
        bool bootstrap = false;          // the BSP flag of IA32_APIC_BASE
        uint64_t timer_hz = 0;           // before division; CPUID 15h tells it to the guest
        unsigned physical_bits = 46;     // of IA32_APIC_BASE
        bool has_x2apic = true;          // what CPUID offers
        bool has_tsc_deadline = true;
        // When the TSC of this processor will read so many ticks, on the VmClock (a time that is
        // past or 0 will do for a count that is past). Own thread.
        std::function<uint64_t(uint64_t guest_tsc)> clock_ns_at_tsc;
        ExternalInterrupts* external = nullptr;  // the PIC; null: none
    };

    // Attaches itself to the bus. The signals are the vCPU's; all must outlive the APIC.
    LocalApic(Config config, CpuSignals& signals, ApicBus& bus, VmClock& clock);
    ~LocalApic();
    // From here on the guest may end edge-triggered interrupts by this flag. It outlives the APIC.
    // Before the vCPU runs.
    void connect(SilentEoi& silent) { silent_ = &silent; }
    LocalApic(const LocalApic&) = delete;
    LocalApic& operator=(const LocalApic&) = delete;

    // --- Own thread: what CpuPorts asks for.
    // CpuPorts::acknowledge_interrupt: external interrupts first, then the APIC's highest vector.
    std::optional<uint8_t> acknowledge_interrupt();
    // Takes back what was offered by SilentEoi: what is in service, and the signal, are exact again.
    void settle();
    uint8_t read_cr8() const { return static_cast<uint8_t>(tpr_.load() >> 4); }
    void write_cr8(uint8_t value);
    // IA32_APIC_BASE, IA32_TSC_DEADLINE, 800h-8FFh. Nothing / false: #GP.
    static bool owns_msr(uint32_t index);
    std::optional<uint64_t> read_msr(uint32_t index);
    bool write_msr(uint32_t index, uint64_t value);
    // Whether an access lies in the register page, as IA32_APIC_BASE places and enables it.
    bool claims(GuestPhys address) const {
        return address.value - page_.load(std::memory_order_relaxed) < apic::kPageBytes;
    }
    uint64_t mmio_read(GuestPhys address, unsigned size);
    void mmio_write(GuestPhys address, unsigned size, uint64_t value);

    // The INIT signal: the registers as after power-up, except the id and IA32_APIC_BASE
    // [SDM 3A 10.4.7.3]. Own thread.
    void init();
    // Power-up. Own thread, or none running.
    void reset();
    // What firmware leaves behind on a PC for the bootstrap processor: APIC enabled, LINT0 takes
    // the PIC's interrupts, LINT1 NMIs [MPS 1.4 3.6.2.2]. Own thread, or none running.
    void enter_virtual_wire_mode();
    // A vector that acknowledge_interrupt() gave and that could not be delivered: it comes next.
    void give_back(uint8_t vector);

    // An engine has the registers from lend() to take_back(), and brings interrupts itself; what is
    // left here is the PIC's wire. Own thread, or none running.
    ApicImage lend();
    void take_back(const ApicImage& image);

    // The guest's TSC was written: an armed deadline moves. Own thread.
    void tsc_changed();

    // --- Any thread.
    // Interrupts addressed to this APIC; kStartup is the bus's business. False: not taken, because
    // the APIC is switched off or the vector is illegal.
    bool accept(const ApicMessage& message);
    void set_lint(unsigned pin, bool level);
    bool matches(uint32_t destination, bool logical) const;
    uint32_t apic_id() const { return config_.apic_id; }
    VcpuIndex vcpu() const { return config_.vcpu; }
    bool enabled_by_software() const;  // false: takes no fixed interrupts
    uint8_t processor_priority() const { return ppr_.load(); }
    bool x2apic() const { return mode() == Mode::kX2apic; }

 private:
    enum class Mode : uint8_t { kDisabled, kXapic, kX2apic };
    static constexpr uint64_t kNoPage = uint64_t{1} << 63;  // above every physical address
    Mode mode() const;
    void set_base(uint64_t value);
    bool write_base(uint64_t value);

    // local_apic_registers.cpp: the register files of the two modes.
    uint32_t read_xapic(uint32_t reg);
    void write_xapic(uint32_t reg, uint32_t value);
    std::optional<uint64_t> read_x2apic(uint32_t reg);
    bool write_x2apic(uint32_t reg, uint64_t value);
    std::optional<uint32_t> read_shared(uint32_t reg);
    bool write_shared(uint32_t reg, uint32_t value);
    void write_svr(uint32_t value);
    void write_lvt(unsigned entry, uint32_t value);
    bool lvt_value_allowed(unsigned entry, uint64_t value) const;
    void clear_registers();

    // local_apic.cpp: taking and ending interrupts.
    void end_of_interrupt();
    void write_tpr(uint8_t value);
    void update_priority();
    bool vector_deliverable() const;
    bool external_deliverable() const;
    bool wants_attention() const;
    void offer_silent_eoi();
    void end_in_service();
    void refresh_signal();
    void raise_if_deliverable();
    bool accept_fixed(uint8_t vector, bool level);
    void signal_lvt(unsigned entry);
    void signal_lint_level(unsigned entry);
    void report_error(uint32_t bits);
    uint32_t logical_id() const;

    // local_apic_image.cpp
    std::optional<uint8_t> acknowledge_external();
    void refresh_external();
    void load_timer(const ApicImage& image) EXCLUDES(timer_mutex_);

    // local_apic_ipi.cpp
    void send_ipi(uint64_t command, uint32_t destination);
    void send_self_ipi(uint8_t vector);

    // local_apic_timer.cpp
    void timer_fired() EXCLUDES(timer_mutex_);
    // Arms the clock for the timer's next expiry; true: it is due already, call timer_fired().
    [[nodiscard]] bool schedule(uint64_t now_ns) REQUIRES(timer_mutex_);
    void write_initial_count(uint32_t value) EXCLUDES(timer_mutex_);
    void write_divide(uint32_t value) EXCLUDES(timer_mutex_);
    void set_timer_mode(uint32_t lvt_timer) EXCLUDES(timer_mutex_);
    void write_tsc_deadline(uint64_t value) EXCLUDES(timer_mutex_);
    void reset_timer() EXCLUDES(timer_mutex_);
    uint32_t timer_register(apic::Register reg) EXCLUDES(timer_mutex_);

    const Config config_;
    CpuSignals& signals_;
    ApicBus& bus_;
    VmClock& clock_;

    std::atomic<uint64_t> base_msr_{0};
    std::atomic<uint64_t> page_{kNoPage};  // of the register page
    std::atomic<uint32_t> tpr_{0}, ppr_{0}, ldr_{0}, dfr_{0}, svr_{0};
    std::array<std::atomic<uint32_t>, apic::kLvtCount> lvt_{};
    VectorSet irr_, tmr_, isr_;
    std::atomic<uint32_t> errors_{0};  // collected since ESR was last written
    uint32_t esr_ = 0;                 // what a read of ESR shows
    uint32_t icr_low_ = 0, icr_high_ = 0;
    std::atomic<uint32_t> lint_levels_{0};       // bit per pin
    std::atomic<bool> external_message_{false};  // an ExtINT that came as a message
    SilentEoi* silent_ = nullptr;
    // The guest may have ended what is in service: the priority may be lower than it seems. Own
    // thread; senders read it.
    std::atomic<bool> silent_offered_{false};
    static constexpr int kNone = -1;
    std::atomic<int> unfinished_{kNone};  // a vector that was given back
    std::atomic<bool> lent_{false};       // an engine has it

    Mutex timer_mutex_;
    ApicTimer timer_ GUARDED_BY(timer_mutex_);
    std::unique_ptr<VmTimer> wake_;  // last: its callback uses everything above
};

}  // namespace mynah
