#pragma once

#include <atomic>

#include "engine/engine.h"
#include "engine/kvm/kvm_handle.h"

namespace mynah::kvm {

// Writes that KVM turns into signals of eventfds itself [api.rst, KVM_IOEVENTFD]. Any thread.
class Bells {
  public:
    explicit Bells(const Handle& vm);

    // False: KVM cannot, or has one there already.
    bool add(const Engine::BellPlace& place, int event_fd);
    void remove(const Engine::BellPlace& place, int event_fd);
    unsigned count() const { return count_.load(std::memory_order_relaxed); }

  private:
    int tell(const Engine::BellPlace& place, int event_fd, uint32_t flags) const;

    const Handle& vm_;
    const bool there_, any_length_;
    std::atomic<unsigned> count_{0};
};

}  // namespace mynah::kvm
