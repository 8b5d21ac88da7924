#include "paravirt/kvm/pv_steal_time.h"

#include "paravirt/kvm/versioned_write.h"
#include "spec/kvm/paravirt.h"

namespace mynah {
namespace {

namespace guest = kvm_guest;

// Asking the host costs a system call; guests look once in a tick, of which they have at most 1000
// a second.
constexpr uint64_t kRefreshNs = 1'000'000;

}  // namespace

void PvStealTime::place(std::optional<GuestPhys> where) {
    where_ = where;
    if (!where_) return;
    delay_seen_ = host_.run_delay_ns(vcpu_).value_or(0);
    accounted_at_ = host_.clock_ns();
    // It is running: this is its own WRMSR. A request of its former life is void.
    (void)memory_.store(*where_ + offsetof(guest::StealTime, preempted), uint8_t{0});
}

void PvStealTime::lend() {
    if (!where_) return;
    account();
    add(0 - delay_seen_);
    where_.reset();
}

void PvStealTime::take_back(std::optional<GuestPhys> where) {
    where_ = where;
    delay_seen_ = host_.run_delay_ns(vcpu_).value_or(0);
}

void PvStealTime::enter() {
    if (running_) return;
    running_ = true;
    if (!where_) return;
    const auto before =
        memory_.exchange<uint8_t>(*where_ + offsetof(guest::StealTime, preempted), 0);
    // Others asked while they saw that it did not run.
    if (before && (*before & guest::kFlushTlb) != 0) host_.flush_tlb(vcpu_);
    account();
}

void PvStealTime::leave() {
    if (!running_) return;
    running_ = false;
    if (!where_) return;
    (void)memory_.store_release(*where_ + offsetof(guest::StealTime, preempted), guest::kPreempted);
}

void PvStealTime::refresh() {
    if (where_ && host_.clock_ns() - accounted_at_ >= kRefreshNs) account();
}

void PvStealTime::account() {
    accounted_at_ = host_.clock_ns();
    const auto delay = host_.run_delay_ns(vcpu_);
    if (!delay || *delay <= delay_seen_) return;
    add(*delay - delay_seen_);
    delay_seen_ = *delay;
}

void PvStealTime::add(uint64_t more) {
    const GuestPhys steal = *where_ + offsetof(guest::StealTime, steal);
    const auto before = memory_.load<uint64_t>(steal);
    if (!before) return;
    write_versioned(memory_, *where_ + offsetof(guest::StealTime, version),
                    [&] { (void)memory_.store(steal, *before + more); });
}

}  // namespace mynah
