#include "bus/shared_line.h"

namespace mynah {

InterruptLine& SharedLine::add_input() {
    inputs_.push_back(std::make_unique<Input>(*this));
    return *inputs_.back();
}

void SharedLine::input_changed(bool& input, bool level) {
    {
        MutexLock lock(mutex_);
        if (input == level) return;
        input = level;
        high_ = level ? high_ + 1 : high_ - 1;
        output_.want(high_ != 0);
    }
    output_.flush();
}

}  // namespace mynah
