// The small parts: damage, key symbols, PNG files, routing of input, screens.

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>
#include <png.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "backend/display/damage.h"
#include "backend/display/input_router.h"
#include "backend/display/key_symbols.h"
#include "backend/display/png_file.h"
#include "backend/display/screen.h"

namespace mynah {
namespace {

TEST(Damage, CoversWhatWasAddedAndNoTileTwice) {
    Damage damage;
    damage.resize(100, 70);
    EXPECT_EQ(damage.rects(), (std::vector<Rect>{{0, 0, 100, 70}}));
    damage.clear();
    EXPECT_TRUE(damage.empty());
    damage.add({0, 0, 0, 5});
    damage.add({100, 0, 5, 5});
    EXPECT_TRUE(damage.empty());
    damage.add({31, 31, 2, 2});  // a corner of four tiles
    EXPECT_EQ(damage.rects(), (std::vector<Rect>{{0, 0, 64, 64}}));
    damage.add({99, 69, 0xffffffff, 0xffffffff});
    EXPECT_EQ(damage.rects(), (std::vector<Rect>{{0, 0, 64, 64}, {96, 64, 4, 6}}));
    damage.resize(100, 70);
    EXPECT_EQ(damage.rects().size(), 2u);
    damage.resize(10, 10);
    EXPECT_EQ(damage.rects(), (std::vector<Rect>{{0, 0, 10, 10}}));
}

TEST(Damage, RunsInOneRowAreSeparate) {
    Damage damage, other;
    damage.resize(320, 64);
    damage.clear();
    other.resize(320, 64);
    other.clear();
    damage.add({0, 0, 1, 64});
    other.add({64, 0, 40, 64});
    damage.add(other);
    EXPECT_EQ(damage.rects(), (std::vector<Rect>{{0, 0, 32, 64}, {64, 0, 64, 64}}));
}

TEST(KeySymbols, AsciiIsOnAUsKeyboard) {
    const std::string plain = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ ";
    const std::string shifted = "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>? ";
    const std::vector<uint16_t> first{KEY_GRAVE, KEY_1, KEY_2, KEY_3, KEY_4};
    for (size_t i = 0; i < plain.size(); ++i) {
        const uint16_t key = key_of_symbol(static_cast<uint8_t>(plain[i]));
        EXPECT_NE(key, 0) << plain[i];
        EXPECT_EQ(key, key_of_symbol(static_cast<uint8_t>(shifted[i]))) << shifted[i];
        EXPECT_TRUE(shifted[i] == ' ' || needs_shift(static_cast<uint8_t>(shifted[i])));
        EXPECT_FALSE(needs_shift(static_cast<uint8_t>(plain[i]))) << plain[i];
        if (i < first.size()) {
            EXPECT_EQ(key, first[i]);
        }
    }
    EXPECT_EQ(key_of_symbol('q'), KEY_Q);
    EXPECT_EQ(key_of_symbol('\\'), KEY_BACKSLASH);
    EXPECT_EQ(key_of_symbol('/'), KEY_SLASH);
    EXPECT_EQ(key_of_symbol(0x1f), 0);
    EXPECT_EQ(key_of_symbol(0x7f), 0);
    EXPECT_EQ(key_of_symbol(0xffffffff), 0);
}

TEST(KeySymbols, FunctionKeysAndCodes) {
    EXPECT_EQ(key_of_symbol(0xff0d), KEY_ENTER);
    EXPECT_EQ(key_of_symbol(0xffc9), KEY_F12);
    EXPECT_EQ(key_of_symbol(0xffff), KEY_DELETE);
    EXPECT_EQ(key_of_symbol(0xfe03), KEY_RIGHTALT);
    EXPECT_EQ(key_of_symbol(0xff27), KEY_KATAKANAHIRAGANA);
    EXPECT_EQ(key_of_set1_code(0x1e), KEY_A);
    EXPECT_EQ(key_of_set1_code(0xc8), KEY_UP);
    EXPECT_EQ(key_of_set1_code(0x57), KEY_F11);
    EXPECT_EQ(key_of_set1_code(0), 0);
    EXPECT_EQ(key_of_set1_code(0x55), 0);
    EXPECT_EQ(key_of_set1_code(0xe3), KEY_WAKEUP);
    EXPECT_EQ(key_of_set1_code(0x10000000), 0);
}

class PngFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "png-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory = name;
    }
    void TearDown() override { std::filesystem::remove_all(directory); }
    std::filesystem::path directory;
};

TEST_F(PngFileTest, SaysWhatThePictureSays) {
    Surface surface;
    surface.resize(37, 11);
    for (uint32_t y = 0; y < 11; ++y) {
        for (uint32_t x = 0; x < 37; ++x) surface.row(y)[x] = x * 0x030507 + y * 0x0d0000;
    }
    const std::string path = directory / "out.png";
    ASSERT_TRUE(write_png(surface, path).ok());
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    ASSERT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0);
    EXPECT_EQ(image.width, 37u);
    EXPECT_EQ(image.height, 11u);
    image.format = PNG_FORMAT_RGB;
    std::vector<uint8_t> bytes(PNG_IMAGE_SIZE(image));
    ASSERT_NE(png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr), 0);
    for (uint32_t i = 0; i < 37 * 11; ++i) {
        const uint32_t pixel = surface.at(i % 37, i / 37);
        EXPECT_EQ(bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2],
                  static_cast<int>(pixel));
    }
    // Again, over the old one, and nothing else is left.
    ASSERT_TRUE(write_png(surface, path).ok());
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory), {}), 1);
}

TEST_F(PngFileTest, ErrorsNameTheFile) {
    Surface surface;
    const auto nothing = write_png(surface, directory / "out.png");
    ASSERT_FALSE(nothing.ok());
    surface.resize(1, 1);
    const auto missing = write_png(surface, directory / "no" / "out.png");
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().message().find("no/out.png: No such file"), std::string::npos);
    EXPECT_FALSE(write_png(surface, directory).ok());
    EXPECT_TRUE(std::filesystem::is_empty(directory));
}

class FakeKeyboard final : public KeySink {
  public:
    void key(uint16_t code, bool pressed) override { events.push_back(pressed ? code : -code); }
    bool listens() const override { return listening; }
    std::vector<int> events;
    bool listening = false;
};

class FakePointer final : public PointerSink {
  public:
    explicit FakePointer(bool absolute) : absolute_(absolute) {}
    void move_to(uint16_t x, uint16_t y) override { events.push_back({x, y}); }
    void move_by(int dx, int dy) override { events.push_back({dx, dy}); }
    void button(PointerButton, bool pressed) override { events.push_back({pressed, -1}); }
    void wheel(int vertical, int) override { events.push_back({vertical, -2}); }
    bool absolute() const override { return absolute_; }
    bool listens() const override { return listening; }
    std::vector<std::pair<int, int>> events;
    bool listening = false;

  private:
    const bool absolute_;
};

TEST(InputRouter, KeysGoToWhoListensAndComeUpWhereTheyWentDown) {
    FakeKeyboard ps2, usb;
    InputRouter router;
    router.key(1, true);  // nobody there
    router.key(1, false);
    router.add(ps2);
    router.add(usb);
    router.key(30, true);  // nobody listens: the first
    usb.listening = true;
    router.key(31, true);
    router.key(30, true);
    router.key(30, false);
    router.key(31, false);
    router.key(31, false);
    router.key(0xffff, true);
    EXPECT_EQ(ps2.events, (std::vector<int>{30, 30, -30}));
    EXPECT_EQ(usb.events, (std::vector<int>{31, -31}));
}

TEST(InputRouter, PointersKnowPlacesOrMovements) {
    using Events = std::vector<std::pair<int, int>>;
    FakePointer mouse(false), tablet(true);
    mouse.listening = true;
    InputRouter router;
    router.add(mouse);
    router.add(tablet);
    router.point({10, 10, 640, 480});
    router.point({15, 7, 640, 480});
    router.point({15, 7, 640, 480});
    router.button(PointerButton::kLeft, true);
    router.wheel(2, 0);
    tablet.listening = true;
    router.point({639, 479, 640, 480});
    router.point({0, 0, 1, 1});
    router.button(PointerButton::kLeft, false);
    EXPECT_EQ(mouse.events, (Events{{5, -3}, {1, -1}, {2, -2}, {0, -1}}));
    EXPECT_EQ(tablet.events, (Events{{65535, 65535}, {0, 0}}));
}

class CountingSource final : public DisplaySource {
  public:
    void refresh(Surface& surface, std::vector<Rect>& changed) override {
        ++calls;
        if (surface.width() == 0) surface.resize(4, 4);
        if (!next) return;
        surface.row(next->y)[next->x] = 0xff;
        changed.push_back(*next);
        next.reset();
    }
    std::optional<Rect> next;
    int calls = 0;
};

class CountingSink final : public DisplaySink {
  public:
    void changed(const Surface& surface, std::span<const Rect> rects) override {
        width = surface.width();
        seen.insert(seen.end(), rects.begin(), rects.end());
    }
    uint32_t width = 0;
    std::vector<Rect> seen;
};

TEST(Screen, SinksHearOfWhatAnybodyAskedFor) {
    CountingSource source;
    Screen screen(source);
    CountingSink sink;
    screen.add(sink);
    screen.refresh();
    EXPECT_TRUE(sink.seen.empty());
    source.next = Rect{1, 2, 1, 1};
    const Surface picture = screen.capture();
    EXPECT_EQ(picture.at(1, 2), 0xffu);
    EXPECT_EQ(sink.seen, (std::vector<Rect>{{1, 2, 1, 1}}));
    EXPECT_EQ(sink.width, 4u);
    screen.remove(sink);
    source.next = Rect{0, 0, 1, 1};
    screen.refresh();
    EXPECT_EQ(sink.seen.size(), 1u);
    EXPECT_EQ(source.calls, 3);
    screen.look([](const Surface& surface) { EXPECT_EQ(surface.at(0, 0), 0xffu); });
}

}  // namespace
}  // namespace mynah
