#pragma once

#include <functional>

namespace mynah {

// Where a device's work runs. The board chooses: at once on the thread that rang the bell (waking
// another thread costs tens of microseconds), on an event loop, or by hand in tests.
class Executor {
 public:
    virtual ~Executor() = default;
    virtual void post(std::function<void()> work) = 0;
};

class InlineExecutor final : public Executor {
 public:
    void post(std::function<void()> work) override { work(); }
};

}  // namespace mynah
