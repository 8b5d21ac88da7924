#include "testing/manual_clock.h"

#include <algorithm>

namespace mynah::testing {

class ManualClock::Timer final : public VmTimer {
 public:
    Timer(ManualClock& clock, std::function<void()> callback)
        : clock_(clock), callback_(std::move(callback)) {}
    ~Timer() override { disarm(); }
    void arm(uint64_t deadline_ns) override {
        disarm();
        armed_ = true;
        deadline_ = deadline_ns;
        clock_.queue_.emplace(std::pair(deadline_ns, this), this);
    }
    void disarm() override {
        if (armed_) clock_.queue_.erase({deadline_, this});
        armed_ = false;
    }
    void fire() {
        disarm();
        callback_();
    }

 private:
    ManualClock& clock_;
    std::function<void()> callback_;
    bool armed_ = false;
    uint64_t deadline_ = 0;
};

std::unique_ptr<VmTimer> ManualClock::create_timer(std::function<void()> callback) {
    return std::make_unique<Timer>(*this, std::move(callback));
}

void ManualClock::advance_to(uint64_t ns) {
    while (!queue_.empty() && queue_.begin()->first.first <= ns) {
        now_ns_ = std::max(now_ns_, queue_.begin()->first.first);
        queue_.begin()->second->fire();
    }
    now_ns_ = std::max(now_ns_, ns);
}

uint64_t ManualClock::next_deadline() const {
    return queue_.empty() ? ~uint64_t{0} : queue_.begin()->first.first;
}

}  // namespace mynah::testing
