#pragma once

#include <memory>
#include <vector>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"

namespace mynah {

// One level-triggered interrupt that several devices share: high while any of them is.
class SharedLine {
 public:
    explicit SharedLine(InterruptLine& output) : output_(output) {}
    SharedLine(const SharedLine&) = delete;
    SharedLine& operator=(const SharedLine&) = delete;

    // One more device's wire. While the board is built.
    InterruptLine& add_input();

 private:
    class Input final : public InterruptLine {
     public:
        explicit Input(SharedLine& line) : line_(line) {}
        void set(bool level) override { line_.input_changed(level_, level); }

     private:
        SharedLine& line_;
        bool level_ = false;  // line_.mutex_ guards it
    };
    void input_changed(bool& input, bool level) EXCLUDES(mutex_);

    LineDriver output_;
    Mutex mutex_;
    unsigned high_ GUARDED_BY(mutex_) = 0;  // inputs
    std::vector<std::unique_ptr<Input>> inputs_;
};

}  // namespace mynah
