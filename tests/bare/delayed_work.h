#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace mynah::bare {

// Does things a millisecond from now on threads of its own, for what must reach a processor while
// it runs. Its end waits for all of them.
class DelayedWork {
  public:
    ~DelayedWork() {
        for (std::thread& thread : threads_) thread.join();
    }
    void add(std::function<void()> work) {
        threads_.emplace_back([work = std::move(work)] {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            work();
        });
    }

  private:
    std::vector<std::thread> threads_;
};

}  // namespace mynah::bare
