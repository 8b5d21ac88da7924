#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/mutex.h"
#include "cpu/apic_image.h"
#include "engine/kvm/kvm_handle.h"
#include "host/event_fd.h"

namespace mynah::kvm {

// The kernel's local APICs, where it has them and nothing else of a PC's interrupt controllers
// [api.rst, KVM_CAP_SPLIT_IRQCHIP]: messages go to them by KVM_SIGNAL_MSI. A message that comes
// again and again gets a route and an eventfd of its own (KVM_IRQFD), by which the interrupt
// reaches the processor with one short write; whoever rewrites its MSI-X entry sends another
// message, which earns another place. Any thread.
class Interrupts final : public EngineApics {
  public:
    // Turns them on, before the first processor is made. False: this kernel cannot.
    static bool turn_on(const Handle& vm);
    explicit Interrupts(const Handle& vm);

    bool send(uint64_t address, uint32_t data) override EXCLUDES(mutex_);
    void set_route(unsigned pin, uint64_t address, uint32_t data) override EXCLUDES(mutex_);

    // Eventfds in use, and how many interrupts went their way.
    unsigned eventfds() const { return eventfds_.load(std::memory_order_relaxed); }
    uint64_t signals() const { return signals_.load(std::memory_order_relaxed); }

  private:
    struct Message {
        uint64_t address = 0;
        uint32_t data = 0;
        bool operator==(const Message&) const = default;
    };
    // One of the messages that fall into it is there; others wear it out.
    struct Place {
        Message message;
        unsigned credit = 0;
        std::optional<EventFd> bell;  // it has a route
    };
    static constexpr unsigned kPlaces = 128, kEarned = 8, kMostCredit = 64;

    static unsigned place_of(const Message& message);
    bool by_eventfd(const Message& message) EXCLUDES(mutex_);
    void give_route(Place& place, unsigned gsi) REQUIRES(mutex_);
    void take_route(Place& place, unsigned gsi) REQUIRES(mutex_);
    bool tell_routes() REQUIRES(mutex_);
    int connect(const EventFd& bell, unsigned gsi, uint32_t flags) const;

    const Handle& vm_;
    const bool has_eventfds_;
    Mutex mutex_;
    std::array<std::optional<Message>, kPins> pins_ GUARDED_BY(mutex_);
    std::array<Place, kPlaces> places_ GUARDED_BY(mutex_);
    std::atomic<unsigned> eventfds_{0};
    std::atomic<uint64_t> signals_{0};
};

}  // namespace mynah::kvm
