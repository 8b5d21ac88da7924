#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "base/worker_executor.h"
#include "device/storage/ahci_driver_test.h"
#include "device/storage/nvme_driver_test.h"
#include "spec/ata/commands.h"
#include "testing/memory_disk.h"

// Several processors at a controller whose back end completes on a thread of its own, sometimes.
namespace mynah {
namespace {

// Every other request is done at once, the rest by the worker.
class SometimesLater final : public BlockBackend {
  public:
    explicit SometimesLater(uint64_t size) : disk(size) {
        for (size_t i = 0; i < size; ++i) {
            disk.bytes()[i] = static_cast<std::byte>(i / 512 * 11 + i);
        }
    }
    const BlockGeometry& geometry() const override { return disk.geometry(); }
    void submit(BlockRequest& request) override {
        if (count_.fetch_add(1) % 2 == 0) {
            disk.submit(request);
        } else {
            worker_.post([this, &request] { disk.submit(request); });
        }
    }

    testing::MemoryDisk disk;

  private:
    std::atomic<unsigned> count_{0};
    WorkerExecutor worker_;
};

constexpr uint64_t kSize = 0x100000;
constexpr unsigned kRounds = 2000;

TEST(StorageThreads, NvmeQueuesServeTheirProcessors) {
    testing::PciSlotBoard board(0x1000000);
    SometimesLater medium(kSize);
    NvmeController controller(board.attachment(), medium, NvmeOptions{4, "T", "M", "1", 0});
    board.set_up(controller.function());
    testing::NvmeDriver driver(board);
    driver.enable();
    for (unsigned queue = 1; queue <= 3; ++queue) ASSERT_EQ(driver.create_queues(queue), 0);
    std::atomic<unsigned> wrong{0};
    const auto processor = [&](unsigned queue) {
        for (unsigned round = 0; round < kRounds; ++round) {
            const uint64_t lba = (round * 7 + queue * 31) % (kSize / 512);
            const uint64_t to = testing::NvmeDriver::kData + queue * 0x10000;
            driver.add(queue, testing::NvmeDriver::transfer(nvme::io::kRead, lba, 1, to));
            driver.ring(queue);
            std::optional<nvme::Completion> done;
            while (!(done = driver.take(queue))) std::this_thread::yield();
            const auto bytes = driver.bytes(to, 512);
            if (done->status >> 1 != 0 ||
                std::memcmp(bytes.data(), medium.disk.bytes().data() + lba * 512, 512) != 0) {
                ++wrong;
            }
        }
    };
    std::vector<std::thread> processors;
    for (unsigned queue = 1; queue <= 3; ++queue) processors.emplace_back(processor, queue);
    for (std::thread& thread : processors) thread.join();
    EXPECT_EQ(wrong.load(), 0u);
    driver.disable();
    while (driver.ready()) std::this_thread::yield();
}

TEST(StorageThreads, AhciPortsServeTheirProcessors) {
    testing::PciSlotBoard board(0x1000000);
    SometimesLater first(kSize), second(kSize);
    AhciController controller(board.attachment(), {});
    controller.attach_disk(0, first, {});
    controller.attach_disk(1, second, {});
    board.set_up(controller.function());
    std::atomic<unsigned> wrong{0};
    const auto processor = [&](unsigned port, SometimesLater& medium, uint64_t place) {
        testing::AhciDriver driver(board, port, place);
        driver.start();
        for (unsigned round = 0; round < kRounds; ++round) {
            const uint32_t slots = round % 8 + 1;
            for (unsigned slot = 0; slot < slots; ++slot) {
                const uint64_t lba = (round * 5 + slot * 17) % (kSize / 512);
                driver.prepare(
                    slot, {{ata::kReadFpdmaQueued, 0x40, 1, static_cast<uint16_t>(slot << 3), lba},
                           {{place + 0x80000 + slot * 512, 512}},
                           false,
                           {}});
                driver.issue_queued(slot);
            }
            while (driver.get(ahci::kSact) != 0) std::this_thread::yield();
            for (unsigned slot = 0; slot < slots; ++slot) {
                const uint64_t lba = (round * 5 + slot * 17) % (kSize / 512);
                const auto bytes = driver.bytes(place + 0x80000 + slot * 512, 512);
                if (std::memcmp(bytes.data(), medium.disk.bytes().data() + lba * 512, 512) != 0) {
                    ++wrong;
                }
            }
            driver.set(ahci::kPxIs, 0xffffffff);
            driver.set_global(ahci::kIs, 1u << port);
        }
        driver.stop();
    };
    std::thread one(processor, 0, std::ref(first), 0);
    std::thread two(processor, 1, std::ref(second), 0x800000);
    one.join();
    two.join();
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(board.intx.level(), false);
}

TEST(StorageThreads, ResetInTheMiddleOfWork) {
    testing::PciSlotBoard board(0x1000000);
    SometimesLater medium(kSize);
    auto controller = std::make_unique<NvmeController>(board.attachment(), medium, NvmeOptions{});
    board.set_up(controller->function());
    testing::NvmeDriver driver(board);
    for (unsigned round = 0; round < 100; ++round) {
        driver.enable();
        ASSERT_EQ(driver.create_queues(1), 0);
        for (unsigned i = 0; i < 10; ++i) {
            driver.add(1, testing::NvmeDriver::transfer(nvme::io::kRead, i, 1,
                                                        testing::NvmeDriver::kData));
        }
        driver.ring(1);
        controller->reset();
        board.set_up(controller->function());
        ASSERT_EQ(driver.get(nvme::kCsts), 0u);
    }
    driver.enable();
    ASSERT_EQ(driver.create_queues(1), 0);
    for (unsigned i = 0; i < 10; ++i) {
        driver.add(
            1, testing::NvmeDriver::transfer(nvme::io::kRead, i, 1, testing::NvmeDriver::kData));
    }
    driver.ring(1);
    controller.reset();  // waits for the worker
}

}  // namespace
}  // namespace mynah
